// Go's mattn/go-xmlrpc: words URL. It writes booleans as `true` and `false`.
package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/mattn/go-xmlrpc"
)

func expect(method string, wanted interface{}, params ...interface{}) {
	found, err := xmlrpc.Call(os.Args[1]+"/RPC2", method, params...)
	if err != nil || !reflect.DeepEqual(found, wanted) {
		fmt.Fprintf(os.Stderr, "%s: found %#v (%v), wanted %#v\n", method, found, err, wanted)
		os.Exit(1)
	}
}

func main() {
	expect("interop.echo.any", true, true)
	expect("interop.echo.any", false, false)
	expect("interop.echo.any", xmlrpc.Struct{"yes": true, "no": false, "n": 5, "text": "h\u00e9 <&>"}, xmlrpc.Struct{"yes": true, "no": false, "n": 5, "text": "h\u00e9 <&>"})
	expect("interop.echo.any", xmlrpc.Array{1, 2.5, true, "x"}, xmlrpc.Array{1, 2.5, true, "x"})
	expect("interop.echo.any", []byte{0, 1, 254}, []byte{0, 1, 254})
	expect("interop.echo.shape", `{"list": [true, false, 1.5]}`, xmlrpc.Struct{"list": xmlrpc.Array{true, false, 1.5}})
	expect("notify", true, xmlrpc.Struct{"data": true})
	fmt.Println("booleans in words ok")
}

// ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls.
package main

import (
	"fmt"
	"log"
	"os"
)

var name = os.Getenv("CO2_PLUGIN_NAME")
var relay = client{os.Getenv("CO2_RELAY_URL"), os.Getenv("CO2_PLUGIN_TOKEN")}

// Called for each dict of the network.
func notify(params []any) (any, error) {
	dict, ok := only[map[string]any](params)
	if !ok {
		return nil, fault{-32602, "notify takes a dict"}
	}
	if dict["data"] == "ping" {
		if _, err := relay.call("relay.relay", map[string]any{"data": map[string]any{"pong": dict["host_id"]}}); err != nil {
			return nil, err
		}
	}
	return true, nil
}

func add(params []any) (any, error) {
	if len(params) == 2 {
		a, isInt := params[0].(int64)
		b, isOtherInt := params[1].(int64)
		if isInt && isOtherInt {
			return a + b, nil
		}
	}
	return nil, fault{-32602, "add takes two integers"}
}

// Describes this satellite to the relay; methods omit its name.
func describe([]any) (any, error) {
	method := map[string]any{"name": name + ".add", "help": "Adds two numbers."}
	method["signature"] = []any{[]any{"int", "int", "int"}}
	method["params"] = []any{"a", "b"}
	return map[string]any{"capabilities": []any{"receive", "exposed"}, "methods": []any{method}}, nil
}

func methodOf(called string) func([]any) (any, error) {
	switch called {
	case "plugin.get_version":
		return func([]any) (any, error) { return map[string]any{"version": "0.1.0"}, nil }
	case "plugin.describe":
		return describe
	case "plugin.stop":
		return func([]any) (any, error) { return true, nil }
	case "notify":
		return notify
	case name + ".add":
		return add
	}
	return func([]any) (any, error) { return nil, fault{-32601, "no such method"} }
}

// Fetches and answers one call, if there is one; returns the name of its method.
func serve() (string, error) {
	next, err := relay.call("plugin.next")
	if err != nil {
		return "", err
	}
	call, _ := next.(map[string]any)
	called, ok := call["method"].(string)
	if !ok {
		return "", nil
	}
	params, _ := call["params"].([]any)
	result, err := methodOf(called)(params)
	switch failure := err.(type) {
	case nil:
		_, err = relay.call("plugin.answer", call["id"], result)
	case fault:
		_, err = relay.call("plugin.answer_fault", call["id"], failure.code, failure.text)
	default:
		log.Print(err)
		_, err = relay.call("plugin.answer_fault", call["id"], 1, "internal error; see the log")
	}
	return called, err
}

func main() {
	log.SetFlags(0)
	if relay.token == "" {
		log.Fatal("ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts")
	}
	fmt.Println("co2|1|poll")
	for {
		called, err := serve()
		if err != nil {
			log.Fatal(err)
		}
		if called == "plugin.stop" {
			return
		}
	}
}

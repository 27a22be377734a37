package main

// XML-RPC with the standard library: an int is an int64, a struct a map, an array a slice; nil, true, 1.5, "text", []byte and time.Time.

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type fault struct {
	code int
	text string
}

func (f fault) Error() string { return fmt.Sprintf("fault %d: %s", f.code, f.text) }

// The relay, which a program calls with its token.
type client struct{ url, token string }

func (c client) call(method string, params ...any) (any, error) {
	var body bytes.Buffer
	body.WriteString("<?xml version=\"1.0\"?><methodCall><methodName>")
	xml.EscapeText(&body, []byte(method))
	body.WriteString("</methodName><params>")
	for _, param := range params {
		body.WriteString("<param>")
		if err := write(&body, param); err != nil {
			return nil, err
		}
		body.WriteString("</param>")
	}
	body.WriteString("</params></methodCall>")
	request, err := http.NewRequest("POST", c.url, &body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/xml; charset=utf-8")
	request.SetBasicAuth("plugin", c.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	var answer struct {
		Value *node `xml:"params>param>value"`
		Fault *node `xml:"fault>value"`
	}
	if err := xml.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Fault != nil {
		value, _ := read(*answer.Fault)
		about, _ := value.(map[string]any)
		code, _ := about["faultCode"].(int64)
		return nil, fault{int(code), fmt.Sprint(about["faultString"])}
	}
	if answer.Value == nil {
		return nil, errors.New("the response has no value")
	}
	return read(*answer.Value)
}

// The only parameter, if it is of this type.
func only[T any](params []any) (T, bool) {
	var none T
	if len(params) != 1 {
		return none, false
	}
	value, ok := params[0].(T)
	return value, ok
}

func write(out io.Writer, value any) error {
	var err error
	switch v := value.(type) {
	case nil:
		_, err = io.WriteString(out, "<value><nil/></value>")
	case bool:
		_, err = fmt.Fprintf(out, "<value><boolean>%d</boolean></value>", map[bool]int{false: 0, true: 1}[v])
	case int:
		return write(out, int64(v))
	case int64:
		tag := "int"
		if v != int64(int32(v)) {
			tag = "i8"
		}
		_, err = fmt.Fprintf(out, "<value><%s>%d</%s></value>", tag, v, tag)
	case float64:
		_, err = fmt.Fprintf(out, "<value><double>%s</double></value>", strconv.FormatFloat(v, 'f', -1, 64))
	case string:
		io.WriteString(out, "<value><string>")
		xml.EscapeText(out, []byte(v))
		_, err = io.WriteString(out, "</string></value>")
	case []byte:
		_, err = fmt.Fprintf(out, "<value><base64>%s</base64></value>", base64.StdEncoding.EncodeToString(v))
	case time.Time:
		_, err = fmt.Fprintf(out, "<value><dateTime.iso8601>%s</dateTime.iso8601></value>", v.UTC().Format("20060102T15:04:05"))
	case []any:
		io.WriteString(out, "<value><array><data>")
		for _, item := range v {
			if err := write(out, item); err != nil {
				return err
			}
		}
		_, err = io.WriteString(out, "</data></array></value>")
	case map[string]any:
		io.WriteString(out, "<value><struct>")
		for name, member := range v {
			io.WriteString(out, "<member><name>")
			xml.EscapeText(out, []byte(name))
			io.WriteString(out, "</name>")
			if err := write(out, member); err != nil {
				return err
			}
			io.WriteString(out, "</member>")
		}
		_, err = io.WriteString(out, "</struct></value>")
	default:
		err = fmt.Errorf("XML-RPC has no type for %T", value)
	}
	return err
}

// An element of a response.
type node struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Nodes   []node `xml:",any"`
}

func (n node) child(name string) node {
	for _, one := range n.Nodes {
		if one.XMLName.Local == name {
			return one
		}
	}
	return node{}
}

// Reads a <value>.
func read(value node) (any, error) {
	if len(value.Nodes) == 0 {
		return value.Text, nil
	}
	typed := value.Nodes[0]
	text := strings.TrimSpace(typed.Text)
	switch typed.XMLName.Local {
	case "string":
		return typed.Text, nil
	case "int", "i4", "i8":
		return strconv.ParseInt(text, 10, 64)
	case "boolean":
		return text == "1", nil
	case "double":
		return strconv.ParseFloat(text, 64)
	case "nil":
		return nil, nil
	case "base64":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	case "dateTime.iso8601":
		return time.Parse("20060102T15:04:05", text)
	case "array":
		items := []any{}
		for _, one := range typed.child("data").Nodes {
			item, err := read(one)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	case "struct":
		members := map[string]any{}
		for _, one := range typed.Nodes {
			member, err := read(one.child("value"))
			if err != nil {
				return nil, err
			}
			members[one.child("name").Text] = member
		}
		return members, nil
	}
	return nil, fmt.Errorf("unknown type %s", typed.XMLName.Local)
}

package main

// Tests of ham.spam: they start it as the relay does, and play the relay.

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// A running program, and the relay that it polls.
type world struct {
	t       *testing.T
	program *exec.Cmd
	// The call that it fetches, and what it answers.
	next     chan map[string]any
	answered chan any
	sent     []any
}

func start(t *testing.T) *world {
	w := &world{t: t, next: make(chan map[string]any, 1), answered: make(chan any, 1)}
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	program := filepath.Join(t.TempDir(), "program")
	if output, err := exec.Command("go", "build", "-o", program).CombinedOutput(); err != nil {
		t.Fatalf("%s", output)
	}
	w.program = exec.Command(program)
	w.program.Env = append(os.Environ(), "CO2_PLUGIN_NAME=ham.spam", "CO2_PLUGIN_TOKEN=secret", "CO2_RELAY_URL="+server.URL)
	w.program.Stderr = os.Stderr
	output, _ := w.program.StdoutPipe()
	if err := w.program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.program.Process.Kill() })
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "co2|1|poll\n" {
		t.Fatalf("the handshake line is %q", line)
	}
	return w
}

// Answers one request of the program.
func (w *world) serve(response http.ResponseWriter, request *http.Request) {
	var called struct {
		Method string `xml:"methodName"`
		Params []node `xml:"params>param>value"`
	}
	xml.NewDecoder(request.Body).Decode(&called)
	given := []any{}
	for _, one := range called.Params {
		value, _ := read(one)
		given = append(given, value)
	}
	var result any = true
	switch called.Method {
	case "plugin.next":
		select {
		case call := <-w.next:
			result = call
		case <-time.After(100 * time.Millisecond):
			result = map[string]any{}
		}
	case "plugin.answer":
		w.answered <- given[1]
	case "plugin.answer_fault":
		w.answered <- fault{int(given[1].(int64)), ""}
	case "relay.relay":
		w.sent = append(w.sent, given[0])
	}
	var body bytes.Buffer
	body.WriteString("<?xml version=\"1.0\"?><methodResponse><params><param>")
	write(&body, result)
	body.WriteString("</param></params></methodResponse>")
	response.Header().Set("Content-Type", "text/xml")
	response.Write(body.Bytes())
}

// Calls a method of the program: the program fetches the call and answers it.
func (w *world) call(method string, params ...any) any {
	w.next <- map[string]any{"id": "a1", "method": method, "params": params}
	select {
	case answer := <-w.answered:
		return answer
	case <-time.After(10 * time.Second):
		w.t.Fatalf("no answer to %s", method)
		return nil
	}
}

func (w *world) expect(found, expected any) {
	w.t.Helper()
	if !reflect.DeepEqual(found, expected) {
		w.t.Errorf("found %#v, expected %#v", found, expected)
	}
}

func TestDescribesItsMethods(t *testing.T) {
	w := start(t)
	about := w.call("plugin.describe").(map[string]any)
	w.expect(about["methods"].([]any)[0].(map[string]any)["name"], "ham.spam.add")
}

func TestAddsTwoNumbers(t *testing.T) {
	w := start(t)
	w.expect(w.call("ham.spam.add", 2, 3), int64(5))
	w.expect(w.call("ham.spam.add", 2, "x"), fault{-32602, ""})
	w.expect(w.call("ham.spam.subtract", 2, 3), fault{-32601, ""})
}

func TestAnswersOnlyPings(t *testing.T) {
	w := start(t)
	w.call("notify", map[string]any{"host_id": "ann@192.0.2.7:2004", "data": "hello 🛰"})
	w.expect(len(w.sent), 0)
	w.call("notify", map[string]any{"host_id": "ann@192.0.2.7:2004", "data": "ping"})
	w.expect(w.sent, []any{map[string]any{"data": map[string]any{"pong": "ann@192.0.2.7:2004"}}})
}

func TestStopsOnRequest(t *testing.T) {
	w := start(t)
	w.expect(w.call("plugin.stop"), true)
	if err := w.program.Wait(); err != nil {
		t.Error(err)
	}
}

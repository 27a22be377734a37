#!/bin/sh
# Tests of ham.spam: they start it as the relay does; a fake curl plays the relay.
program=$(dirname "$0")/spam.sh
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit
failed=0

# Answers plugin.next with the calls of the test, in order, and everything else with true; records each request.
mkdir "$work/bin"
cat >"$work/bin/curl" <<'END'
#!/bin/sh
body=$(cat)
case $body in
*'<methodName>plugin.next<'*) set -- "$WORK"/call.* && cat "$1" && rm "$1" ;;
*) echo "$body" >>"$WORK/requests" && echo '<boolean>1</boolean>' ;;
esac
END
chmod +x "$work/bin/curl"

call() { # number, method, parameters
  params="<name>params</name><value><array><data>$3</data></array></value>"
  echo "<struct><name>id</name><value><string>a$1</string></value><name>method</name><value><string>$2</string></value>$params</struct>" >"$work/call.$1"
}

# Lets the program fetch this call, then plugin.stop; its requests are in $requests.
run() { # method, parameters
  : >"$work/requests"
  call 1 "$1" "$2"
  call 2 plugin.stop ''
  line=$(WORK=$work PATH="$work/bin:$PATH" CO2_PLUGIN_NAME=ham.spam CO2_PLUGIN_TOKEN=secret CO2_RELAY_URL=http://127.0.0.1:1/RPC2 sh "$program")
  ended=$?
  requests=$(cat "$work/requests")
}

check() { # title, text, expected part of the text
  case $2 in
  *"$3"*) echo "ok - $1" ;;
  *) failed=1 && printf 'not ok - %s: no %s in\n%s\n' "$1" "$3" "$2" ;;
  esac
}

dict() { echo "<value><struct><name>host_id</name><value><string>ann@192.0.2.7:2004</string></value><name>data</name><value><string>$1</string></value></struct></value>"; }

run plugin.describe ''
check 'prints the handshake line' "$line" 'co2|1|poll'
check 'describes its method' "$requests" '<name>name</name><value><string>ham.spam.add</string></value>'
run ham.spam.add '<value><int>2</int></value><value><int>-3</int></value>'
check 'adds two numbers' "$requests" '<methodName>plugin.answer</methodName><params><param><value><string>a1</string></value></param><param><value><int>-1</int></value>'
run ham.spam.subtract ''
check 'rejects unknown methods' "$requests" '<methodName>plugin.answer_fault</methodName><params><param><value><string>a1</string></value></param><param><value><int>-32601</int></value>'
run notify "$(dict hello)"
check 'ignores other dicts' "[${requests%%<params>*}]" '[<methodCall><methodName>plugin.answer</methodName>]'
run notify "$(dict ping)"
check 'answers a ping' "$requests" '<methodName>relay.relay</methodName><params><param><value><struct><member><name>data</name><value><struct><member><name>pong</name><value><string>ann@192.0.2.7:2004</string></value>'
check 'stops on request' "$ended" 0
exit $failed

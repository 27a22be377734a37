#!/bin/sh
# Tests of ham.spam: they start it as the relay does; a fake curl plays the relay.
program=$(dirname "$0")/spam.sh
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit
failed=0

# Answers plugin.next with the calls of the test, in order, and everything else with true; records each request. The last call,
# plugin.stop, comes when the work has pushed its end.
mkdir "$work/bin"
cat >"$work/bin/curl" <<'END'
#!/bin/sh
body=$(cat)
case $body in
*'<methodName>plugin.next<'*)
  set -- "$WORK"/call.*
  if [ $# -eq 1 ] && [ -e "$WORK/works" ]; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do grep -q '<name>e[nr][dr]' "$WORK/requests" && break || sleep 0.2; done
  fi
  cat "$1" && rm "$1" ;;
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

unit() { # type, file
  job="<name>stream</name><value><string>9f86d081884c7d659a2feaa0</string></value><name>payload_path</name><value><string>$2</string></value>"
  echo "<value><string>$1</string></value><value><struct>$job</struct></value>"
}

run plugin.describe ''
check 'prints the handshake line' "$line" 'co2|1|poll'
check 'describes its work' "$requests" '<name>type</name><value><string>ham.spam:count</string></value>'
run plugin.execute "$(unit ham.spam:fry "$work/none")"
check 'refuses other work' "$requests" '<methodName>plugin.answer_fault</methodName><params><param><value><string>a1</string></value></param><param><value><int>-32602</int></value>'
touch "$work/works"
printf 'one two\nthree\n' >"$work/payload"
run plugin.execute "$(unit ham.spam:count "$work/payload")"
check 'pushes the counts' "$requests" "<base64>$(printf '2 one two\n1 three\n' | base64)</base64>"
check 'pushes its end' "$requests" '<name>end</name><value><boolean>1</boolean></value>'
run plugin.execute "$(unit ham.spam:count "$work/none")"
check 'fails with a reason' "$requests" '<name>error</name><value><string>awk: '
rm "$work/works"
run plugin.cancel '<value><string>9f86d081884c7d659a2feaa0</string></value>'
check 'answers a cancel of work that is over' "$requests" '<methodName>plugin.answer</methodName><params><param><value><string>a1</string></value></param><param><value><boolean>1</boolean></value>'
run plugin.restart ''
check 'rejects unknown methods' "$requests" '<int>-32601</int>'
check 'stops on request' "$ended" 0
exit $failed

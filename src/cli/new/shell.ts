/** A satellite in shell and curl, and its test. */
import { named } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

export function shellFiles(plugin: NewPlugin): readonly NewFile[] {
  return [
    { path: `${plugin.path}.sh`, source: named(PROGRAM, plugin), isExecutable: true },
    { path: `${plugin.path}_test.sh`, source: named(TEST, plugin), isExecutable: true },
  ];
}

const PROGRAM = `#!/bin/sh
# ham.spam: say here what it is for. A satellite that the relay starts (config.ts: programs); it fetches its calls by curl.
[ -n "$CO2_PLUGIN_TOKEN" ] || {
  echo "ham.spam is a satellite of co2-relay, which starts it: name it under 'programs' in config.ts" >&2
  exit 1
}

text() { printf '<value><string>%s</string></value>' "$1"; }
list() { printf '<value><array><data>%s</data></array></value>' "$1"; }
struct() { # name, value, ...
  printf '<value><struct>'
  while [ $# -gt 0 ]; do printf '<member><name>%s</name>%s</member>' "$1" "$2" && shift 2; done
  printf '</struct></value>'
}
# A text of the call: the first of this name, so that its own come before those of a dict in it. For more, take a parser.
member() { case $call in *"<name>$1</name>"*) rest=\${call#*"<name>$1</name>"} rest=\${rest#*<string>} && printf %s "\${rest%%</string>*}" ;; esac }

# Calls a method of the relay: its name, then values. The URL holds a credential, so it is no argument, which others could see.
ask() {
  {
    printf '<methodCall><methodName>%s</methodName><params>' "$1" && shift
    for value; do printf '<param>%s</param>' "$value"; done
    printf '</params></methodCall>'
  } | curl -sSf -H 'Content-Type: text/xml' --data-binary @- -K /dev/fd/3 3<<END
url = "$CO2_RELAY_URL"
END
}
fault() { ask plugin.answer_fault "$id" "<value><int>$1</int></value>" "$(text "$2")" >/dev/null; }
answer() { case $(ask plugin.answer "$id" "$1") in *'<fault>'*) fault 1 'it failed' ;; esac }

# Called for each dict of the network.
notify() {
  case $call in *'<name>data</name><value><string>ping</string>'*)
    ask relay.relay "$(struct data "$(struct pong "$(text "$(member host_id)")")")" >/dev/null ;;
  esac
  echo '<value><boolean>1</boolean></value>'
}

# Two integers, or nothing, which is no answer.
add() {
  set -- $(printf %s "$call" | grep -o '<int>-*[0-9]*' | cut -c 6-)
  [ $# -ne 2 ] || echo "<value><int>$(($1 + $2))</int></value>"
}

describe() {
  int=$(text int)
  add=$(struct name "$(text "$CO2_PLUGIN_NAME.add")" help "$(text 'Adds two numbers.')" signature "$(list "$(list "$int$int$int")")")
  struct capabilities "$(list "$(text receive)$(text exposed)")" methods "$(list "$add")"
}

echo 'co2|1|poll'
while call=$(ask plugin.next) || exit; do
  method=$(member method) id=$(text "$(member id)")
  case $method in
  '') ;;
  plugin.get_version) answer "$(struct version "$(text 0.1.0)")" ;;
  plugin.describe) answer "$(describe)" ;;
  plugin.stop) answer '<value><boolean>1</boolean></value>' && exit ;;
  notify) answer "$(notify)" ;;
  "$CO2_PLUGIN_NAME.add") answer "$(add)" ;;
  *) fault -32601 'no such method' ;;
  esac
done
`;

const TEST = `#!/bin/sh
# Tests of ham.spam: starts it as the relay does, and plays the relay: the program finds another curl.
program=$(dirname "$0")/spam.sh
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit
failed=0

# Answers plugin.next with the calls of the test, in order, and everything else with true; keeps what it was told.
mkdir "$work/bin"
cat >"$work/bin/curl" <<'END'
#!/bin/sh
body=$(cat)
case $body in
*'<methodName>plugin.next<'*) set -- "$WORK"/call.* && cat "$1" && rm "$1" ;;
*) echo "$body" >>"$WORK/told" && echo '<boolean>1</boolean>' ;;
esac
END
chmod +x "$work/bin/curl"

call() { # number, method, parameters
  params="<name>params</name><value><array><data>$3</data></array></value>"
  echo "<struct><name>id</name><value><string>a$1</string></value><name>method</name><value><string>$2</string></value>$params</struct>" >"$work/call.$1"
}

# Lets the program fetch this call, and then the one that ends it; what it told the relay is in $told.
run() { # method, parameters
  : >"$work/told"
  call 1 "$1" "$2"
  call 2 plugin.stop ''
  line=$(WORK=$work PATH="$work/bin:$PATH" CO2_PLUGIN_NAME=ham.spam CO2_PLUGIN_TOKEN=secret CO2_RELAY_URL=http://127.0.0.1:1/RPC2 sh "$program")
  ended=$?
  told=$(cat "$work/told")
}

check() { # what is tested, text, what has to be in it
  case $2 in
  *"$3"*) echo "ok - $1" ;;
  *) failed=1 && printf 'not ok - %s: no %s in\\n%s\\n' "$1" "$3" "$2" ;;
  esac
}

dict() { echo "<value><struct><name>host_id</name><value><string>ann@192.0.2.7:2004</string></value><name>data</name><value><string>$1</string></value></struct></value>"; }

run plugin.describe ''
check 'it says how it is called' "$line" 'co2|1|poll'
check 'it describes its method' "$told" '<name>name</name><value><string>ham.spam.add</string></value>'
run ham.spam.add '<value><int>2</int></value><value><int>-3</int></value>'
check 'it adds two numbers' "$told" '<methodName>plugin.answer</methodName><params><param><value><string>a1</string></value></param><param><value><int>-1</int></value>'
run ham.spam.subtract ''
check 'it has no other methods' "$told" '<methodName>plugin.answer_fault</methodName><params><param><value><string>a1</string></value></param><param><value><int>-32601</int></value>'
run notify "$(dict hello)"
check 'it leaves other dicts alone' "[\${told%%<params>*}]" '[<methodCall><methodName>plugin.answer</methodName>]'
run notify "$(dict ping)"
check 'it answers a ping' "$told" '<methodName>relay.relay</methodName><params><param><value><struct><member><name>data</name><value><struct><member><name>pong</name><value><string>ann@192.0.2.7:2004</string></value>'
check 'it ends when it is told' "$ended" 0
exit $failed
`;

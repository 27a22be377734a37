#!/bin/sh
# ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls with curl.
[ -n "$CO2_PLUGIN_TOKEN" ] || {
  echo "ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts" >&2
  exit 1
}

text() { printf '<value><string>%s</string></value>' "$1"; }
list() { printf '<value><array><data>%s</data></array></value>' "$1"; }
struct() { # name, value, ...
  printf '<value><struct>'
  while [ $# -gt 0 ]; do printf '<member><name>%s</name>%s</member>' "$1" "$2" && shift 2; done
  printf '</struct></value>'
}
# The first text member of the call with this name: those of the call come before those of a dict in it. Use a parser for more.
member() { case $call in *"<name>$1</name>"*) rest=${call#*"<name>$1</name>"} rest=${rest#*<string>} && printf %s "${rest%%</string>*}" ;; esac }

# Calls a method of the relay: its name, then values. Curl reads the URL from a file: it contains a credential, and arguments are public.
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

# Prints the sum of two integers, or nothing, which becomes a fault.
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

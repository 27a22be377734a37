#!/bin/sh
# ham.spam: describe here what it does. The relay starts this program ('programs' in config.ts), which polls for units of work with curl.
[ -n "$CO2_PLUGIN_TOKEN" ] || {
  echo "ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts" >&2
  exit 1
}

# The work: reads the payload from this file, and writes the result. If it fails, its last line says why.
count() { awk '{ print NF, $0 }' "$1"; }

true='<value><boolean>1</boolean></value>'
text() { printf '<value><string>%s</string></value>' "$(printf %s "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g')"; }
list() { printf '<value><array><data>%s</data></array></value>' "$1"; }
struct() { # name, value, ...
  printf '<value><struct>'
  while [ $# -gt 0 ]; do printf '<member><name>%s</name>%s</member>' "$1" "$2" && shift 2; done
  printf '</struct></value>'
}
# The first text member of the call with this name. Use a parser for more.
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
answer() { ask plugin.answer "$id" "$1" >/dev/null; }

# Does one unit: its stream and its file. The answer to each push is the permission for the next.
run() {
  # A shell ends at a signal when the command that it waits for has ended, so nothing is left behind.
  result=$(mktemp) && trap 'rm -f "$result"' EXIT && trap 'exit 1' TERM
  if ! count "$2" >"$result" 2>&1; then
    ask relay.push_items "$(text "$1")" "$(list '')" "$(struct error "$(text "$(tail -n 1 "$result")")")" >/dev/null
    exit
  fi
  while part=$(head -c 300000 | base64 | tr -d '\n') && [ -n "$part" ]; do
    case $(ask relay.push_items "$(text "$1")" "$(list "<value><base64>$part</base64></value>")") in *'<boolean>1<'*) ;; *) exit ;; esac
  done <"$result"
  ask relay.push_items "$(text "$1")" "$(list '')" "$(struct end "$true")" >/dev/null
}

execute() {
  case $call in *"<string>$CO2_PLUGIN_NAME:count</string>"*) ;; *) fault -32602 'there is no such work' && return ;; esac
  answer "$true"
  stream=$(member stream)
  run "$stream" "$(member payload_path)" &
  eval "pid_$stream=$!" && units="${units:-} $!"
}

# Ends all units, and waits for them.
stop() {
  # shellcheck disable=SC2086
  [ -z "${units:-}" ] || kill $units 2>/dev/null
  wait
  answer "$true"
}

cancel() {
  stream=${call##*<string>} stream=${stream%%<*}
  # The ids of streams are hexadecimal numbers; it is a part of the name of a variable.
  case $stream in '' | *[!0-9a-f]*) ;; *) eval "pid=\${pid_$stream:-}" && [ -n "$pid" ] && kill "$pid" 2>/dev/null ;; esac
  answer "$true"
}

describe() {
  count=$(struct type "$(text "$CO2_PLUGIN_NAME:count")" help "$(text 'Writes the number of its words before each line of the payload.')" payload "$(text file)")
  struct capabilities "$(list "$(text work)")" work "$(list "$count")"
}

echo 'co2|1|poll'
while call=$(ask plugin.next) || exit; do
  method=$(member method) id=$(text "$(member id)")
  case $method in
  '') ;;
  plugin.get_version) answer "$(struct version "$(text 0.1.0)")" ;;
  plugin.describe) answer "$(describe)" ;;
  plugin.execute) execute ;;
  plugin.cancel) cancel ;;
  plugin.stop) stop && exit ;;
  *) fault -32601 'no such method' ;;
  esac
done

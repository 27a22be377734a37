#!/bin/sh
# A satellite in shell and curl that a relay runs; it fetches its calls: answers pings, and adds two numbers.
[ -n "$CO2_PLUGIN_TOKEN" ] || { echo "A satellite of co2-relay, which runs it: programs: [{ name: 'sh.adder', exec: './program.sh' }] in config.ts" >&2; exit 1; }

ask() { # method, then values as XML
  asked=$1 params=; shift
  for value; do params="$params<param><value>$value</value></param>"; done
  # The URL contains a credential, and other users can see arguments.
  echo "<methodCall><methodName>$asked</methodName><params>$params</params></methodCall>" |
    curl -sSf -H 'Content-Type: text/xml' --data-binary @- -K /dev/fd/3 3<<END
url = "$CO2_RELAY_URL"
END
}
member() { # of the call; its own come before those of a dict in it
  case $call in *"<name>$1</name>"*) rest=${call#*"<name>$1</name>"} rest=${rest#*<string>} && printf %s "${rest%%</string>*}" ;; esac
}
text() { echo "<string>$1</string>"; }
list() { echo "<array><data>$1</data></array>"; }
one() { echo "<member><name>$1</name><value>$2</value></member>"; }

int="<value><string>int</string></value>"
add="<struct>$(one name "$(text "$CO2_PLUGIN_NAME.add")")$(one help "$(text 'Adds two integers.')")$(one signature "$(list "<value>$(list "$int$int$int")</value>")")</struct>"
about="<struct>$(one capabilities "$(list '<value><string>receive</string></value><value><string>exposed</string></value>')")$(one methods "$(list "<value>$add</value>")")</struct>"
echo 'co2|1|poll'
while call=$(ask plugin.next) || exit; do
  call=$(printf %s "$call" | tr -d '\n')
  id=$(text "$(member id)") method=$(member method)
  case $method in
  '') ;;
  plugin.describe) ask plugin.answer "$id" "$about" ;;
  "$CO2_PLUGIN_NAME.add") ask plugin.answer "$id" "<int>$(($(printf "%s\n" "$call" | grep -o '<int>[^<]*' | sed 's/<int>//' | tr '\n' + | sed 's/+$//')))</int>" ;;
  notify)
    case $call in *'<name>data</name><value><string>ping</string>'*) ask relay.relay "<struct>$(one data "<struct>$(one pong "$(text "$CO2_PLUGIN_NAME")")</struct>")</struct>" ;; esac
    ask plugin.answer "$id" '<boolean>1</boolean>' ;;
  ping | plugin.stop) ask plugin.answer "$id" '<boolean>1</boolean>' ;;
  *) ask plugin.answer_fault "$id" '<int>-32601</int>' "$(text 'no such method')" ;;
  esac >/dev/null
  [ "$method" != plugin.stop ] || exit 0
done

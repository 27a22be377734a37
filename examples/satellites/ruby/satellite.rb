# A satellite in Ruby's standard library: ruby examples/satellites/ruby/satellite.rb http://127.0.0.1:2004 hello
require 'net/http'
require 'socket'
$stdout.sync = true
RELAY = URI("#{ARGV[0] || 'http://127.0.0.1:2004'}/RPC2")
TRUE = '<?xml version="1.0"?><methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>'

def struct(members) = "<struct>#{members.map { |name, value| "<member><name>#{name}</name><value>#{value}</value></member>" }.join}</struct>"

def call(method, members)
  body = "<methodCall><methodName>#{method}</methodName><params><param><value>#{struct(members)}</value></param></params></methodCall>"
  answer = Net::HTTP.post(RELAY, body, 'Content-Type' => 'text/xml').body
  raise "#{method}: #{answer}" if !answer.include?('<methodResponse>') || answer.include?('<fault>')

  answer
end

# Returns the text of the first member of this name.
def member(xml, name) = xml[%r{<name>#{name}</name>\s*<value>(?:<\w+>)?([^<]*)}, 1]

server = TCPServer.new('0.0.0.0', 0)
record = call('relay.register', port: "<int>#{server.addr[1]}</int>", nick: 'ruby')
token = member(record, 'token')
puts "registered as #{member(record, 'host_id')}"
call('relay.relay', data: "<string>#{(ARGV[1] || 'hello').encode(xml: :text)}</string>", co2: struct(token: token))
begin
  loop do
    client = server.accept
    head = client.gets("\r\n\r\n").to_s
    body = client.read(head[/^content-length: *(\d+)/i, 1].to_i)
    puts "notified by #{member(body, 'host_id')}: #{member(body, 'data')}" if body.include?('<methodName>notify<')
    client.write("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: #{TRUE.bytesize}\r\n\r\n#{TRUE}")
    client.close
  end
rescue Interrupt
  call('relay.unregister', token: token)
  puts 'unregistered'
end

# Ruby's xmlrpc: echo.rb URL SHAPE. Fails at the first unexpected answer.
require 'xmlrpc/client'
$stdout.sync = true
url, shape = ARGV
relay = XMLRPC::Client.new2("#{url}/RPC2")

def expect(found, wanted)
  raise "found #{found.inspect}, wanted #{wanted.inspect}" unless found == wanted && found.class == wanted.class
end

def fault_of
  yield
  raise 'no fault'
rescue XMLRPC::FaultException => e
  e
end

expect(relay.call('system.listMethods').include?('interop.echo.any'), true)
expect(relay.call('system.methodSignature', 'interop.echo.double'), [%w[double double]])
expect(relay.call('system.methodHelp', 'interop.echo.any'), 'Answers its parameter.')
puts 'introspection ok'

bytes = [0, 1, 10, 13, 254, 255].pack('C*')
value = {
  'bytes' => XMLRPC::Base64.new(bytes),
  'doubles' => [0.1, -2.5, 1_048_576.125],
  'flags' => [true, false],
  'ints' => [0, -1, 2_147_483_647, -2_147_483_648],
  'nested' => { 'inner' => { 'deep' => [1, [2, [3, []]], {}] }, 'list' => [{ 'a' => 'b' }, { 'a' => 'c' }] },
  'text' => "h\u00e9 \u6f22 <&> ]]> \"q\" '\n\t",
  'when' => XMLRPC::DateTime.new(2024, 2, 3, 4, 5, 6)
}
expect(relay.call('interop.echo.shape', value), shape)
back = relay.call('interop.echo.any', value)
expect(back['when'].to_time.strftime('%Y%m%dT%H:%M:%S'), '20240203T04:05:06')
expect(back['bytes'].b, bytes)
%w[doubles flags ints nested text].each { |name| expect(back[name], value[name]) }
expect(relay.call('interop.echo.double', 1.0), 1.0)
expect(relay.call('interop.echo.any', "\u{1f40d}"), "\u{1f40d}")
puts 'values ok'

fault = fault_of { relay.call('interop.echo.fail', 42, "no <such> room & h\u00e9") }
expect([fault.faultCode, fault.faultString], [42, "no <such> room & h\u00e9"])
expect(fault_of { relay.call('no.such.method') }.faultCode, -32601)
puts 'faults ok'

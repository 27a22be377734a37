#!/usr/bin/env ruby
# A satellite in Ruby (gem xmlrpc) that a relay runs; it fetches its calls: answers pings, and adds two numbers.
require 'xmlrpc/client'

# Messages of others may contain nil, which the gem reads only with this setting.
XMLRPC::Config.send(:remove_const, :ENABLE_NIL_PARSER)
XMLRPC::Config::ENABLE_NIL_PARSER = true

name = ENV['CO2_PLUGIN_NAME']
abort "A satellite of co2-relay, which runs it: programs: [{ name: 'rb.adder', exec: './program.rb' }] in config.ts" unless ENV['CO2_PLUGIN_TOKEN']
relay = XMLRPC::Client.new2(ENV['CO2_RELAY_URL'], nil, 60)
add = { 'name' => "#{name}.add", 'help' => 'Adds two integers.', 'signature' => [%w[int int int]] }

$stdout.puts 'co2|1|poll'
$stdout.flush
loop do
  call = relay.call('plugin.next')
  next if call.empty?

  id, params = call.values_at('id', 'params')
  case call['method']
  when 'plugin.describe' then relay.call('plugin.answer', id, 'capabilities' => %w[receive exposed], 'methods' => [add])
  when "#{name}.add" then relay.call('plugin.answer', id, params.sum)
  when 'notify'
    relay.call('relay.relay', 'data' => { 'pong' => name }) if params[0]['data'] == 'ping'
    relay.call('plugin.answer', id, true)
  when 'ping', 'plugin.stop' then relay.call('plugin.answer', id, true)
  else relay.call('plugin.answer_fault', id, -32601, "no method #{call['method']}")
  end
  break if call['method'] == 'plugin.stop'
end

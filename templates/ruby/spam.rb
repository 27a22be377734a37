#!/usr/bin/env ruby
# ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls.
require 'xmlrpc/client'

# Messages from other senders may contain nil, which the gem only parses when this is set.
XMLRPC::Config.send(:remove_const, :ENABLE_NIL_PARSER)
XMLRPC::Config::ENABLE_NIL_PARSER = true

NAME = ENV.fetch('CO2_PLUGIN_NAME', '')
abort "ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts" unless ENV['CO2_PLUGIN_TOKEN']
RELAY = XMLRPC::Client.new2(ENV['CO2_RELAY_URL'], nil, 60)

# Called for each dict of the network.
def notify(message)
  RELAY.call('relay.relay', { 'data' => { 'pong' => message['host_id'] } }) if message['data'] == 'ping'
  true
end

def add(one, other) = one + other

ADD = { 'name' => "#{NAME}.add", 'help' => 'Adds two numbers.', 'signature' => [%w[int int int]], 'params' => %w[a b] }.freeze
METHODS = {
  'plugin.get_version' => -> { { 'version' => '0.1.0' } },
  'plugin.describe' => -> { { 'capabilities' => %w[receive exposed], 'methods' => [ADD] } },
  'plugin.stop' => -> { true },
  'notify' => method(:notify),
  "#{NAME}.add" => method(:add)
}.freeze

$stdout.puts 'co2|1|poll'
$stdout.flush
called = nil
until called == 'plugin.stop'
  id, called, params = RELAY.call('plugin.next').values_at('id', 'method', 'params')
  next if id.nil?

  begin
    raise XMLRPC::FaultException.new(-32_601, 'no such method') unless METHODS.key?(called)

    RELAY.call('plugin.answer', id, METHODS[called].call(*params))
  rescue XMLRPC::FaultException => e
    RELAY.call('plugin.answer_fault', id, e.faultCode, e.faultString)
  rescue StandardError => e
    warn e.full_message
    RELAY.call('plugin.answer_fault', id, 1, 'internal error; see the log')
  end
end

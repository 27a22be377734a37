/** A satellite in Ruby (the gem xmlrpc), and its test. */
import { named } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

export function rubyFiles(plugin: NewPlugin): readonly NewFile[] {
  return [
    { path: `${plugin.path}.rb`, source: named(PROGRAM, plugin), isExecutable: true },
    { path: `${plugin.path}_test.rb`, source: named(TEST, plugin) },
  ];
}

const PROGRAM = String.raw`#!/usr/bin/env ruby
# ham.spam: say here what it is for. A satellite that the relay starts (config.ts: programs); it fetches its calls.
require 'xmlrpc/client'

# Others' messages may hold nil, which the gem reads only if it is told to.
XMLRPC::Config.send(:remove_const, :ENABLE_NIL_PARSER)
XMLRPC::Config::ENABLE_NIL_PARSER = true

NAME = ENV.fetch('CO2_PLUGIN_NAME', '')
abort "ham.spam is a satellite of co2-relay, which starts it: name it under 'programs' in config.ts" unless ENV['CO2_PLUGIN_TOKEN']
RELAY = XMLRPC::Client.new2(ENV['CO2_RELAY_URL'], nil, 60)

# Called for each dict of the network.
def notify(message)
  RELAY.call('relay.relay', { 'data' => { 'pong' => message['host_id'] } }) if message['data'] == 'ping'
  true
end

def add(one, other) = one + other

ADD = { 'name' => "#{NAME}.add", 'help' => 'Adds two numbers.', 'signature' => [%w[int int int]] }.freeze
METHODS = {
  'plugin.get_version' => -> { { 'version' => '0.1.0' } },
  'plugin.describe' => -> { { 'capabilities' => %w[receive exposed], 'methods' => [ADD] } },
  'plugin.stop' => -> { true },
  'notify' => method(:notify),
  "#{NAME}.add" => method(:add)
}.freeze

$stdout.puts 'co2|1|poll'
$stdout.flush
asked = nil
until asked == 'plugin.stop'
  id, asked, params = RELAY.call('plugin.next').values_at('id', 'method', 'params')
  next if id.nil?

  begin
    raise XMLRPC::FaultException.new(-32_601, 'no such method') unless METHODS.key?(asked)

    RELAY.call('plugin.answer', id, METHODS[asked].call(*params))
  rescue XMLRPC::FaultException => e
    RELAY.call('plugin.answer_fault', id, e.faultCode, e.faultString)
  rescue StandardError => e
    warn e.full_message
    RELAY.call('plugin.answer_fault', id, 1, 'it failed; the log says why')
  end
end
`;

const TEST = String.raw`# Tests of ham.spam: starts it as the relay does, and plays the relay.
require 'minitest/autorun'
require 'rbconfig'
require 'socket'
require 'timeout'
require 'xmlrpc/marshal'

class SatelliteTest < Minitest::Test
  PROGRAM = File.join(__dir__, 'spam.rb')

  def setup
    @sent = []
    @relay = TCPServer.new('127.0.0.1', 0)
    url = "http://plugin:secret@127.0.0.1:#{@relay.addr[1]}/RPC2"
    environment = { 'CO2_PLUGIN_NAME' => 'ham.spam', 'CO2_PLUGIN_TOKEN' => 'secret', 'CO2_RELAY_URL' => url }
    @program = IO.popen([environment, RbConfig.ruby, PROGRAM])
    assert_equal "co2|1|poll\n", @program.gets
  end

  def teardown
    unless @program.closed?
      Process.kill('KILL', @program.pid)
      @program.close
    end
    @relay.close
  end

  # Calls a method of the program: it fetches the call, and answers it.
  def call(method, *params)
    answers = []
    Timeout.timeout(10) do
      serve { |asked, given| reply(asked, given, method, params, answers) } while answers.empty?
    end
    answers.first
  end

  # What the relay answers to the program.
  def reply(asked, given, method, params, answers)
    case asked
    when 'plugin.next' then return { 'id' => 'a1', 'method' => method, 'params' => params }
    when 'plugin.answer' then answers << given[1]
    when 'plugin.answer_fault' then answers << "fault #{given[1]}"
    when 'relay.relay' then @sent << given[0]
    end
    true
  end

  # Answers one request of the program.
  def serve
    client = @relay.accept
    head = client.gets("\r\n\r\n")
    body = client.read(head[/^content-length: *(\d+)/i, 1].to_i)
    answer = XMLRPC::Marshal.dump_response(yield(*XMLRPC::Marshal.load_call(body)))
    client.write("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: #{answer.bytesize}\r\n\r\n#{answer}")
    client.close
  end

  def test_describes_its_methods
    assert_equal ['ham.spam.add'], (call('plugin.describe')['methods'].map { |method| method['name'] })
  end

  def test_adds_two_numbers
    assert_equal 5, call('ham.spam.add', 2, 3)
    assert_equal 'fault -32601', call('ham.spam.subtract', 2, 3)
  end

  def test_answers_a_ping_and_nothing_else
    call('notify', { 'host_id' => 'ann@192.0.2.7:2004', 'data' => 'hello' })
    assert_empty @sent
    call('notify', { 'host_id' => 'ann@192.0.2.7:2004', 'data' => 'ping' })
    assert_equal [{ 'data' => { 'pong' => 'ann@192.0.2.7:2004' } }], @sent
  end

  def test_ends_when_it_is_told
    assert_equal true, call('plugin.stop')
    @program.close
    assert_predicate $?, :success?
  end
end
`;

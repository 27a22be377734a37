# Tests of ham.spam: they start it as the relay does, and play the relay.
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

  # Calls a method of the program: the program fetches the call and answers it.
  def call(method, *params)
    answers = []
    Timeout.timeout(10) do
      serve { |called, given| reply(called, given, method, params, answers) } while answers.empty?
    end
    answers.first
  end

  # Returns the relay's answer to the program.
  def reply(called, given, method, params, answers)
    case called
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

  def test_answers_only_pings
    call('notify', { 'host_id' => 'ann@192.0.2.7:2004', 'data' => 'hello' })
    assert_empty @sent
    call('notify', { 'host_id' => 'ann@192.0.2.7:2004', 'data' => 'ping' })
    assert_equal [{ 'data' => { 'pong' => 'ann@192.0.2.7:2004' } }], @sent
  end

  def test_stops_on_request
    assert_equal true, call('plugin.stop')
    @program.close
    assert_predicate $?, :success?
  end
end

<?php
// Tests of ham.spam: they start it as the relay does, and play the relay.
declare(strict_types=1);

/** A running program, and the relay that it polls. */
class World
{
    /** The data of the dicts that it sends, as XML. */
    public array $sent = [];
    private $listener;
    private $process;
    private $output;

    public function __construct()
    {
        $this->listener = stream_socket_server('tcp://127.0.0.1:0');
        $environment = getenv();
        $environment['CO2_PLUGIN_NAME'] = 'ham.spam';
        $environment['CO2_PLUGIN_TOKEN'] = 'secret';
        $environment['CO2_RELAY_URL'] = 'http://' . stream_socket_get_name($this->listener, false) . '/RPC2';
        $this->process = proc_open([PHP_BINARY, __DIR__ . '/spam.php'], [1 => ['pipe', 'w'], 2 => STDERR], $pipes, null, $environment);
        $this->output = $pipes[1];
        check(fgets($this->output) === "co2|1|poll\n", 'prints the handshake line');
    }

    /** Calls a method of the program, with parameters as XML; returns the answer as XML, or the code of the fault. */
    public function call(string $method, string ...$params): string
    {
        $values = implode('', array_map(fn ($param) => "<value>$param</value>", $params));
        $member = fn ($name, $value) => "<member><name>$name</name><value>$value</value></member>";
        $call = '<struct>' . $member('id', 'a1') . $member('method', $method) . $member('params', "<array><data>$values</data></array>") . '</struct>';
        while (true) {
            $client = stream_socket_accept($this->listener, 10);
            [$called, $given] = $this->request($client);
            $result = $called === 'plugin.next' ? $call : '<boolean>1</boolean>';
            $answer = "<methodResponse><params><param><value>$result</value></param></params></methodResponse>";
            fwrite($client, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: " . strlen($answer) . "\r\n\r\n$answer");
            fclose($client);
            if ($called === 'relay.relay') $this->sent[] = $given[0];
            if ($called === 'plugin.answer') return $given[1];
            if ($called === 'plugin.answer_fault') return 'fault ' . strip_tags($given[1]);
        }
    }

    /** Reads one request: the name of the method, and the parameters as XML. */
    private function request($client): array
    {
        $length = 0;
        while (($line = fgets($client)) !== "\r\n" && $line !== false) {
            if (stripos($line, 'content-length:') === 0) $length = (int) substr($line, 15);
        }
        $body = simplexml_load_string(stream_get_contents($client, $length));
        $given = [];
        foreach ($body->params->param as $param) $given[] = preg_replace('#^<value>|</value>$#', '', $param->value->asXML());
        return [(string) $body->methodName, $given];
    }

    public function end(): int
    {
        for ($tries = 0; $tries < 100; $tries++) {
            $status = proc_get_status($this->process);
            if (!$status['running']) return $status['exitcode'];
            usleep(100_000);
        }
        proc_terminate($this->process, 9);
        return -1;
    }
}

function check(bool $isRight, string $what): void
{
    global $failures;
    echo $isRight ? 'ok' : 'not ok', " - $what\n";
    $failures += $isRight ? 0 : 1;
}

function dict(string $data): string
{
    return "<struct><member><name>host_id</name><value>ann@192.0.2.7:2004</value></member><member><name>data</name><value>$data</value></member></struct>";
}

$failures = 0;
$world = new World();
check(str_contains($world->call('plugin.describe'), 'ham.spam.add'), 'describes its methods');
check($world->call('ham.spam.add', '<int>2</int>', '<int>3</int>') === '<int>5</int>', 'adds two numbers');
check($world->call('ham.spam.add', '<int>2</int>', 'x') === 'fault -32602', 'rejects anything else');
check($world->call('ham.spam.subtract') === 'fault -32601', 'rejects unknown methods');
$world->call('notify', dict('hello 🛰'));
check($world->sent === [], 'ignores other dicts');
$world->call('notify', dict('ping'));
check(count($world->sent) === 1 && str_contains($world->sent[0], 'ann@192.0.2.7:2004'), 'answers a ping');
$world->call('plugin.stop');
check($world->end() === 0, 'stops on request');
exit($failures === 0 ? 0 : 1);

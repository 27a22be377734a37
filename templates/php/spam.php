#!/usr/bin/env php
<?php
// ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls.
declare(strict_types=1);

define('NAME', (string) getenv('CO2_PLUGIN_NAME'));

/** Called for each dict of the network. */
function notify(array $dict): bool
{
    if (($dict['data'] ?? null) === 'ping') callRelay('relay.relay', ['data' => ['pong' => $dict['host_id']]]);
    return true;
}

function add(int $a, int $b): int
{
    return $a + $b;
}

/** The method of this name. */
function methodOf(string $called): ?callable
{
    $add = ['name' => NAME . '.add', 'help' => 'Adds two numbers.', 'signature' => [['int', 'int', 'int']], 'params' => ['a', 'b']];
    return match ($called) {
        'plugin.get_version' => fn () => ['version' => '0.1.0'],
        'plugin.describe' => fn () => ['capabilities' => ['receive', 'exposed'], 'methods' => [$add]],
        'plugin.stop' => fn () => true,
        'notify' => notify(...),
        NAME . '.add' => add(...),
        default => null,
    };
}

/** Fetches and answers one call, if there is one; returns the name of its method. */
function serve(): string
{
    $call = callRelay('plugin.next');
    if (!isset($call['id'])) return '';
    $method = methodOf($call['method']);
    try {
        if ($method === null) throw new RpcFault('no such method', -32601);
        $result = $method(...$call['params']);
    } catch (RpcFault $fault) {
        callRelay('plugin.answer_fault', $call['id'], $fault->getCode(), $fault->getMessage());
        return $call['method'];
    } catch (ArgumentCountError | TypeError $error) {
        callRelay('plugin.answer_fault', $call['id'], -32602, $error->getMessage());
        return $call['method'];
    } catch (Throwable $error) {
        fwrite(STDERR, "$error\n");
        callRelay('plugin.answer_fault', $call['id'], 1, 'internal error; see the log');
        return $call['method'];
    }
    callRelay('plugin.answer', $call['id'], $result);
    return $call['method'];
}

// XML-RPC: a list is an array, any other array a struct. Bytes and dates that are received are texts.

/** A fault, with its code. */
class RpcFault extends Exception {}

/** Calls a method of the relay. Throws an RpcFault, or an Exception if the relay cannot be reached. */
function callRelay(string $method, mixed ...$params): mixed
{
    $xml = new XMLWriter();
    $xml->openMemory();
    $xml->startDocument('1.0', 'UTF-8');
    $xml->startElement('methodCall');
    $xml->writeElement('methodName', $method);
    $xml->startElement('params');
    foreach ($params as $param) {
        $xml->startElement('param');
        write($xml, $param);
        $xml->endElement();
    }
    $xml->endElement();
    $xml->endElement();
    $authorization = base64_encode('plugin:' . getenv('CO2_PLUGIN_TOKEN'));
    $head = "Content-Type: text/xml; charset=utf-8\r\nAuthorization: Basic $authorization\r\n";
    $context = stream_context_create(['http' => ['method' => 'POST', 'header' => $head, 'content' => $xml->outputMemory(), 'timeout' => 60]]);
    $answer = @file_get_contents((string) getenv('CO2_RELAY_URL'), false, $context);
    if ($answer === false) throw new Exception('the relay cannot be reached: ' . (error_get_last()['message'] ?? ''));
    $response = simplexml_load_string($answer, SimpleXMLElement::class, LIBXML_PARSEHUGE);
    if (isset($response->fault)) {
        $fault = read($response->fault->value);
        throw new RpcFault((string) $fault['faultString'], (int) $fault['faultCode']);
    }
    return read($response->params->param->value);
}

/** Writes a <value>. */
function write(XMLWriter $xml, mixed $value): void
{
    $xml->startElement('value');
    if ($value === null) $xml->writeElement('nil');
    elseif (is_bool($value)) $xml->writeElement('boolean', $value ? '1' : '0');
    elseif (is_int($value)) $xml->writeElement($value === (($value << 32) >> 32) ? 'int' : 'i8', (string) $value);
    elseif (is_float($value)) $xml->writeElement('double', rtrim(sprintf('%.17F', $value), '0') . '0');
    elseif ($value instanceof DateTimeInterface) $xml->writeElement('dateTime.iso8601', $value->format('Ymd\TH:i:s'));
    elseif (!is_array($value)) $xml->writeElement('string', (string) $value);
    elseif (array_is_list($value)) {
        $xml->startElement('array');
        $xml->startElement('data');
        foreach ($value as $item) write($xml, $item);
        $xml->endElement();
        $xml->endElement();
    } else {
        $xml->startElement('struct');
        foreach ($value as $name => $member) {
            $xml->startElement('member');
            $xml->writeElement('name', (string) $name);
            write($xml, $member);
            $xml->endElement();
        }
        $xml->endElement();
    }
    $xml->endElement();
}

/** Reads a <value>. */
function read(SimpleXMLElement $value): mixed
{
    $typed = $value->children()[0] ?? null;
    if ($typed === null) return (string) $value;
    switch ($typed->getName()) {
        case 'int':
        case 'i4':
        case 'i8':
            return (int) (string) $typed;
        case 'boolean':
            return trim((string) $typed) === '1';
        case 'double':
            return (float) (string) $typed;
        case 'nil':
            return null;
        case 'base64':
            return base64_decode((string) $typed);
        case 'array':
            $items = [];
            foreach ($typed->data->value as $item) $items[] = read($item);
            return $items;
        case 'struct':
            $members = [];
            foreach ($typed->member as $member) $members[(string) $member->name] = read($member->value);
            return $members;
        default:
            return (string) $typed;
    }
}

if (getenv('CO2_PLUGIN_TOKEN') === false) {
    fwrite(STDERR, "ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts\n");
    exit(1);
}
echo "co2|1|poll\n";
while (serve() !== 'plugin.stop') continue;

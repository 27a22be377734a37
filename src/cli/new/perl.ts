/** A satellite in Perl (RPC::XML), and its test. */
import { named } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

export function perlFiles(plugin: NewPlugin): readonly NewFile[] {
  return [
    { path: `${plugin.path}.pl`, source: named(PROGRAM, plugin), isExecutable: true },
    { path: `${plugin.path}.t`, source: named(TEST, plugin) },
  ];
}

const PROGRAM = String.raw`#!/usr/bin/env perl
# ham.spam: say here what it is for. A satellite that the relay starts (config.ts: programs); it fetches its calls.
use strict;
use warnings FATAL => 'numeric';
use RPC::XML qw(RPC_BOOLEAN RPC_INT RPC_STRING);
use RPC::XML::Client;

my $name = $ENV{CO2_PLUGIN_NAME};
$ENV{CO2_PLUGIN_TOKEN} or die "ham.spam is a satellite of co2-relay, which starts it: name it under 'programs' in config.ts\n";
my $relay = RPC::XML::Client->new($ENV{CO2_RELAY_URL});

# Calls a method of the relay.
sub ask {
    my $answer = $relay->send_request(@_);
    die ref $answer ? $answer->value->{faultString} : $answer, "\n" if !ref $answer || $answer->is_fault;
    return $answer->value;
}

# Called for each dict of the network.
sub notify {
    my ($message) = @_;
    ask('relay.relay', { data => { pong => RPC_STRING($message->{host_id}) } }) if ($message->{data} // '') eq 'ping';
    return RPC_BOOLEAN(1);
}

sub add { my ($x, $y) = @_; return $x + $y }

my $add = { name => "$name.add", help => 'Adds two numbers.', signature => [['int', 'int', 'int']] };
my %methods = (
    'plugin.get_version' => sub { { version => RPC_STRING('0.1.0') } },
    'plugin.describe' => sub { { capabilities => ['receive', 'exposed'], methods => [$add] } },
    'plugin.stop' => sub { RPC_BOOLEAN(1) },
    'notify' => \&notify,
    "$name.add" => \&add,
);

$| = 1;
print "co2|1|poll\n";
for (my $asked = ''; $asked ne 'plugin.stop';) {
    my $call = ask('plugin.next');
    my $id = RPC_STRING($call->{id} // next);
    $asked = $call->{method};
    if (!$methods{$asked}) {
        ask('plugin.answer_fault', $id, RPC_INT(-32601), RPC_STRING('no such method'));
        next;
    }
    next if eval { ask('plugin.answer', $id, $methods{$asked}->(@{ $call->{params} })); 1 };
    warn $@;
    ask('plugin.answer_fault', $id, RPC_INT(1), RPC_STRING('it failed; the log says why'));
}
`;

const TEST = String.raw`# Tests of ham.spam: starts it as the relay does, and plays the relay.
use strict;
use warnings;
use FindBin;
use HTTP::Daemon;
use HTTP::Response;
use RPC::XML;
use RPC::XML::ParserFactory;
use Test::More;

# Nothing that the program asks for takes so long.
my $relay = HTTP::Daemon->new(LocalAddr => '127.0.0.1', Timeout => 10) or die "cannot listen: $@";
my $parser = RPC::XML::ParserFactory->new;
my @sent;

@ENV{'CO2_PLUGIN_NAME', 'CO2_PLUGIN_TOKEN'} = ('ham.spam', 'secret');
$ENV{CO2_RELAY_URL} = 'http://plugin:secret@127.0.0.1:' . $relay->sockport . '/RPC2';
my $pid = open(my $program, '-|', $^X, "$FindBin::Bin/spam.pl") or die "cannot start it: $!";
END { kill 'KILL', $pid if $pid }

# Answers one request of the program with what the code makes of its method and parameters.
sub serve {
    my ($code) = @_;
    my $connection = $relay->accept or die "the program asks for nothing\n";
    my $request = $parser->parse($connection->get_request->content);
    my $answer = RPC::XML::response->new($code->($request->name, map { $_->value } @{ $request->args }));
    $connection->send_response(HTTP::Response->new(200, 'OK', ['Content-Type' => 'text/xml'], $answer->as_string));
    $connection->close;
}

# Calls a method of the program: it fetches the call, and answers it.
sub call {
    my ($method, @params) = @_;
    my @answer;
    my %relay = (
        'plugin.next' => sub { { id => 'a1', method => $method, params => \@params } },
        'plugin.answer' => sub { @answer = ($_[1]); RPC::XML::boolean->new(1) },
        'plugin.answer_fault' => sub { @answer = ("fault $_[1]"); RPC::XML::boolean->new(1) },
        'relay.relay' => sub { push @sent, $_[0]; RPC::XML::boolean->new(1) },
    );
    serve(sub { my ($asked, @given) = @_; $relay{$asked}->(@given) }) while !@answer;
    return $answer[0];
}

is(<$program>, "co2|1|poll\n", 'it says how it is called');
is(call('plugin.describe')->{methods}[0]{name}, 'ham.spam.add', 'it describes its method');
is(call('ham.spam.add', 2, 3), 5, 'it adds two numbers');
is(call('ham.spam.subtract', 2, 3), 'fault -32601', 'it has no other methods');
call('notify', { host_id => 'ann@192.0.2.7:2004', data => 'hello' });
is_deeply(\@sent, [], 'it leaves other dicts alone');
call('notify', { host_id => 'ann@192.0.2.7:2004', data => 'ping' });
is_deeply(\@sent, [{ data => { pong => 'ann@192.0.2.7:2004' } }], 'it answers a ping');
call('plugin.stop');
ok(close $program, 'it ends when it is told');
undef $pid;
done_testing;
`;

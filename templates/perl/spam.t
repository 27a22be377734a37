# Tests of ham.spam: they start it as the relay does, and play the relay.
use strict;
use warnings;
use FindBin;
use HTTP::Daemon;
use HTTP::Response;
use RPC::XML;
use RPC::XML::ParserFactory;
use Test::More;

# Fail when the program sends no request for this many seconds.
my $relay = HTTP::Daemon->new(LocalAddr => '127.0.0.1', Timeout => 10) or die "cannot listen: $@";
my $parser = RPC::XML::ParserFactory->new;
my @sent;

@ENV{'CO2_PLUGIN_NAME', 'CO2_PLUGIN_TOKEN'} = ('ham.spam', 'secret');
$ENV{CO2_RELAY_URL} = 'http://plugin:secret@127.0.0.1:' . $relay->sockport . '/RPC2';
my $pid = open(my $program, '-|', $^X, "$FindBin::Bin/spam.pl") or die "cannot start the program: $!";
END { kill 'KILL', $pid if $pid }

# Answers one request of the program with the result of calling the code with its method and parameters.
sub serve {
    my ($code) = @_;
    my $connection = $relay->accept or die "no request from the program\n";
    my $request = $parser->parse($connection->get_request->content);
    my $answer = RPC::XML::response->new($code->($request->name, map { $_->value } @{ $request->args }));
    $connection->send_response(HTTP::Response->new(200, 'OK', ['Content-Type' => 'text/xml'], $answer->as_string));
    $connection->close;
}

# Calls a method of the program: the program fetches the call and answers it.
sub call {
    my ($method, @params) = @_;
    my @answer;
    my %relay = (
        'plugin.next' => sub { { id => 'a1', method => $method, params => \@params } },
        'plugin.answer' => sub { @answer = ($_[1]); RPC::XML::boolean->new(1) },
        'plugin.answer_fault' => sub { @answer = ("fault $_[1]"); RPC::XML::boolean->new(1) },
        'relay.relay' => sub { push @sent, $_[0]; RPC::XML::boolean->new(1) },
    );
    serve(sub { my ($called, @given) = @_; $relay{$called}->(@given) }) while !@answer;
    return $answer[0];
}

is(<$program>, "co2|1|poll\n", 'prints the handshake line');
is(call('plugin.describe')->{methods}[0]{name}, 'ham.spam.add', 'describes its method');
is(call('ham.spam.add', 2, 3), 5, 'adds two numbers');
is(call('ham.spam.subtract', 2, 3), 'fault -32601', 'rejects unknown methods');
call('notify', { host_id => 'ann@192.0.2.7:2004', data => 'hello' });
is_deeply(\@sent, [], 'ignores other dicts');
call('notify', { host_id => 'ann@192.0.2.7:2004', data => 'ping' });
is_deeply(\@sent, [{ data => { pong => 'ann@192.0.2.7:2004' } }], 'answers a ping');
call('plugin.stop');
ok(close $program, 'stops on request');
undef $pid;
done_testing;

#!/usr/bin/env perl
# A satellite in Perl (RPC::XML) that a relay runs; it fetches its calls: answers pings, and adds two numbers.
use strict;
use warnings;
use RPC::XML;
use RPC::XML::Client;

my $name = $ENV{CO2_PLUGIN_NAME};
$ENV{CO2_PLUGIN_TOKEN} or die "A satellite of co2-relay, which runs it: programs: [{ name: 'pl.adder', exec: './program.pl' }] in config.ts\n";
my $relay = RPC::XML::Client->new($ENV{CO2_RELAY_URL});
my $true = RPC::XML::boolean->new(1);

sub ask {
    my ($method, @params) = @_;
    my $answer = $relay->send_request($method, @params);
    die "$method: ", ref $answer ? $answer->string : $answer, "\n" if !ref $answer || $answer->is_fault;
    return $answer->value;
}

my $add = { name => "$name.add", help => 'Adds two integers.', signature => [['int', 'int', 'int']] };
my %answers = (
    'plugin.describe' => sub { { capabilities => ['receive', 'exposed'], methods => [$add] } },
    "$name.add" => sub { RPC::XML::int->new($_[0] + $_[1]) },
    'notify' => sub { ask('relay.relay', { data => { pong => $name } }) if $_[0]{data} eq 'ping'; $true },
    'ping' => sub { $true },
    'plugin.stop' => sub { $true },
);
$| = 1;
print "co2|1|poll\n";
my $method = '';
while ($method ne 'plugin.stop') {
    my $call = ask('plugin.next');
    my $id = RPC::XML::string->new($call->{id} // next);
    $method = $call->{method};
    if (my $answer = $answers{$method}) { ask('plugin.answer', $id, $answer->(@{ $call->{params} })) }
    else { ask('plugin.answer_fault', $id, -32601, "no method $method") }
}

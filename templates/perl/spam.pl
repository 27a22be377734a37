#!/usr/bin/env perl
# ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls.
use strict;
use warnings FATAL => 'numeric';
use RPC::XML qw(RPC_BOOLEAN RPC_INT RPC_STRING);
use RPC::XML::Client;

my $name = $ENV{CO2_PLUGIN_NAME};
$ENV{CO2_PLUGIN_TOKEN} or die "ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts\n";
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

my $add = { name => "$name.add", help => 'Adds two numbers.', signature => [['int', 'int', 'int']], params => ['a', 'b'] };
my %methods = (
    'plugin.get_version' => sub { { version => RPC_STRING('0.1.0') } },
    'plugin.describe' => sub { { capabilities => ['receive', 'exposed'], methods => [$add] } },
    'plugin.stop' => sub { RPC_BOOLEAN(1) },
    'notify' => \&notify,
    "$name.add" => \&add,
);

$| = 1;
print "co2|1|poll\n";
for (my $method = ''; $method ne 'plugin.stop';) {
    my $call = ask('plugin.next');
    my $id = RPC_STRING($call->{id} // next);
    $method = $call->{method};
    if (!$methods{$method}) {
        ask('plugin.answer_fault', $id, RPC_INT(-32601), RPC_STRING('no such method'));
        next;
    }
    next if eval { ask('plugin.answer', $id, $methods{$method}->(@{ $call->{params} })); 1 };
    warn $@;
    ask('plugin.answer_fault', $id, RPC_INT(1), RPC_STRING('internal error; see the log'));
}

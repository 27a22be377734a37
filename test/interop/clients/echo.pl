# Perl's RPC::XML: echo.pl URL SHAPE. Fails at the first unexpected answer.
use strict;
use warnings;
use utf8;
use Encode qw(decode_utf8);
use RPC::XML;
use RPC::XML::Client;
$| = 1;
$RPC::XML::ENCODING = 'utf-8';
my ($url, $shape) = ($ARGV[0], decode_utf8($ARGV[1]));
my $relay = RPC::XML::Client->new("$url/RPC2");

sub call { my $answer = $relay->send_request(@_); ref $answer or die "no answer: $answer\n"; return $answer }

sub expect { my ($found, $wanted) = @_; binmode STDERR, ':utf8'; $found eq $wanted or die "found $found, wanted $wanted\n" }

my %names = map { $_ => 1 } @{ call('system.listMethods')->value };
expect($names{'interop.echo.any'}, 1);
expect(join(' ', @{ call('system.methodSignature', 'interop.echo.double')->value->[0] }), 'double double');
expect(call('system.methodHelp', 'interop.echo.any')->value, 'Answers its parameter.');
print "introspection ok\n";

my $value = RPC::XML::struct->new(
    bytes   => RPC::XML::base64->new(join '', map { chr } 0, 1, 10, 13, 254, 255),
    doubles => [ map { RPC::XML::double->new($_) } 0.1, -2.5, 1048576.125 ],
    flags   => [ RPC::XML::boolean->new(1), RPC::XML::boolean->new(0) ],
    ints    => [ map { RPC::XML::int->new($_) } 0, -1, 2147483647, -2147483648 ],
    nested  => { inner => { deep => [ 1, [ 2, [ 3, [] ] ], {} ] }, list => [ { a => 'b' }, { a => 'c' } ] },
    text    => RPC::XML::string->new("h\x{e9} \x{6f22} <&> ]]> \"q\" '\n\t"),
    when    => RPC::XML::datetime_iso8601->new('20240203T04:05:06'),
);
expect(call('interop.echo.shape', $value)->value, $shape);
my $back = call('interop.echo.any', $value);
expect(call('interop.echo.shape', $back)->value, $shape);
expect($back->value->{bytes}, join '', map { chr } 0, 1, 10, 13, 254, 255);
expect($back->value->{nested}{list}[1]{a}, 'c');
expect(ref $back->{flags}[0], 'RPC::XML::boolean');
expect(ref $back->{when}, 'RPC::XML::datetime_iso8601');
expect(ref call('interop.echo.double', RPC::XML::double->new('1.0')), 'RPC::XML::double');
expect(call('interop.echo.any', RPC::XML::string->new("\x{1f40d}"))->value, "\x{1f40d}");
print "values ok\n";

my $fault = call('interop.echo.fail', 42, RPC::XML::string->new("no <such> room & h\x{e9}"));
expect($fault->is_fault, 1);
expect($fault->code, 42);
expect($fault->string, "no <such> room & h\x{e9}");
expect(call('no.such.method')->code, -32601);
print "faults ok\n";

# A satellite in Perl's core modules: perl examples/satellites/perl/satellite.pl http://127.0.0.1:2004 hello
use strict;
use warnings;
use HTTP::Tiny;
use IO::Socket::INET;
$| = 1;
my ($relay, $text) = (@ARGV, ('http://127.0.0.1:2004', 'hello')[@ARGV .. 1]);

sub struct { my %m = @_; '<struct>' . join('', map { "<member><name>$_</name><value>$m{$_}</value></member>" } sort keys %m) . '</struct>' }

sub call {
    my ($method, $struct) = @_;
    my $body = "<methodCall><methodName>$method</methodName><params><param><value>$struct</value></param></params></methodCall>";
    my $answer = HTTP::Tiny->new->post("$relay/RPC2", { headers => { 'content-type' => 'text/xml' }, content => $body })->{content};
    die "$method: $answer\n" if $answer !~ /<methodResponse>/ || $answer =~ /<fault>/;
    return $answer;
}

# Returns the text of the first member of this name; for more, use an XML parser.
sub member { my ($xml, $name) = @_; $xml =~ m{<name>$name</name>\s*<value>(?:<\w+>)?([^<]*)} ? $1 : '' }

my $server = IO::Socket::INET->new(LocalAddr => '0.0.0.0', Listen => 5, ReuseAddr => 1) or die "cannot listen: $@";
my $record = call('relay.register', struct(port => '<int>' . $server->sockport . '</int>', nick => 'perl'));
my $token = member($record, 'token');
$SIG{INT} = sub { call('relay.unregister', struct(token => $token)); print "unregistered\n"; exit };
print 'registered as ', member($record, 'host_id'), "\n";
call('relay.relay', struct(data => "<string>$text</string>", co2 => struct(token => $token)));
my $true = '<?xml version="1.0"?><methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>';
while (1) {
    my $client = $server->accept or next;
    my ($length, $body) = (0, '');
    while (defined(my $line = <$client>)) { $length = $1 if $line =~ /^content-length: *(\d+)/i; last if $line =~ /^\r?\n$/ }
    read($client, $body, $length);
    print 'notified by ', member($body, 'host_id'), ': ', member($body, 'data'), "\n" if $body =~ m{<methodName>notify<};
    print $client "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: ", length $true, "\r\n\r\n$true";
    close $client;
}

# Parses documents with RPC::XML and writes the result: one base64-encoded document per line, in and out.
use strict;
use warnings;
use Encode qw(encode_utf8);
use MIME::Base64 qw(decode_base64 encode_base64);
use RPC::XML;
use RPC::XML::ParserFactory;
$| = 1;
$RPC::XML::ENCODING = 'utf-8';
my $parser = RPC::XML::ParserFactory->new;
while (my $line = <STDIN>) {
    my $call = $parser->parse(decode_base64($line));
    my $document = ref $call ? RPC::XML::request->new($call->name, @{ $call->args })->as_string : "cannot be read: $call";
    print encode_base64(utf8::is_utf8($document) ? encode_utf8($document) : $document, ''), "\n";
}

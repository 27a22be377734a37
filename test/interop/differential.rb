# Parses documents with Ruby's xmlrpc and writes the result: one base64-encoded document per line, in and out.
require 'xmlrpc/marshal'
$stdout.sync = true

$stdin.each_line do |line|
  name, params = XMLRPC::Marshal.load_call(line.unpack1('m').force_encoding('UTF-8'))
  document = XMLRPC::Marshal.dump_call(name, *params)
  puts [document].pack('m0')
rescue StandardError => e
  puts ["cannot be read: #{e.class}: #{e.message}"].pack('m0')
end

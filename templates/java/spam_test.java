// Tests of ham.spam: they start it as the relay does, and play the relay.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

class SpamTest {
    static final LinkedBlockingQueue<String> calls = new LinkedBlockingQueue<>();
    static final LinkedBlockingQueue<String> answers = new LinkedBlockingQueue<>();
    /** The calls of relay.relay, as XML. */
    static final List<String> sent = new ArrayList<>();
    static int failures = 0;

    public static void main(String[] arguments) throws Exception {
        // The directory of this file: the source launcher tells its path.
        var launched = new File(System.getProperty("jdk.launcher.sourcefile", arguments.length > 0 ? arguments[0] : "spam_test.java"));
        var program = new File(launched.getAbsoluteFile().getParentFile(), "spam").getPath();
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", SpamTest::serve);
        server.start();
        var start = new ProcessBuilder("java", "--source", "17", program).redirectError(ProcessBuilder.Redirect.INHERIT);
        start.environment().put("CO2_PLUGIN_NAME", "ham.spam");
        start.environment().put("CO2_PLUGIN_TOKEN", "secret");
        start.environment().put("CO2_RELAY_URL", "http://plugin:secret@127.0.0.1:" + server.getAddress().getPort() + "/RPC2");
        var process = start.start();
        try (BufferedReader output = process.inputReader()) {
            check("co2|1|poll".equals(output.readLine()), "prints the handshake line");
            check(call("plugin.describe").contains("ham.spam.add"), "describes its methods");
            check(call("ham.spam.add", "<int>2</int>", "<int>3</int>").contains("<int>5</int>"), "adds two numbers");
            check(call("ham.spam.add", "<int>2</int>", "x").contains("<int>-32602</int>"), "rejects anything else");
            check(call("ham.spam.subtract").contains("<int>-32601</int>"), "rejects unknown methods");
            call("notify", dict("hello 🛰"));
            check(sent.isEmpty(), "ignores other dicts");
            call("notify", dict("ping"));
            check(sent.size() == 1 && sent.get(0).contains("ann@192.0.2.7:2004"), "answers a ping");
            call("plugin.stop");
            check(process.waitFor(10, TimeUnit.SECONDS) && process.exitValue() == 0, "stops on request");
        } finally {
            process.destroyForcibly();
            server.stop(0);
        }
        System.exit(failures == 0 ? 0 : 1);
    }

    static void check(boolean isRight, String what) {
        System.out.println((isRight ? "ok" : "not ok") + " - " + what);
        if (!isRight) failures++;
    }

    /** Calls a method of the program, with parameters as XML: the program fetches the call. Returns its answer as XML. */
    static String call(String method, String... params) throws InterruptedException {
        var values = new StringBuilder();
        for (var param : params) values.append("<value>").append(param).append("</value>");
        var list = "<array><data>" + values + "</data></array>";
        calls.add("<struct>" + member("id", "a1") + member("method", method) + member("params", list) + "</struct>");
        var answer = answers.poll(10, TimeUnit.SECONDS);
        return answer == null ? "no answer" : answer;
    }

    static String member(String name, String value) {
        return "<member><name>" + name + "</name><value>" + value + "</value></member>";
    }

    static String dict(String data) {
        return "<struct>" + member("host_id", "ann@192.0.2.7:2004") + member("data", data) + "</struct>";
    }

    /** Answers one request of the program. */
    static void serve(HttpExchange exchange) throws IOException {
        var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        var named = Pattern.compile("<methodName>(.*?)</methodName>").matcher(body);
        var method = named.find() ? named.group(1) : "";
        var result = "<boolean>1</boolean>";
        if (method.equals("plugin.next")) result = nextCall();
        if (method.equals("relay.relay")) sent.add(body);
        var answer = ("<methodResponse><params><param><value>" + result + "</value></param></params></methodResponse>").getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/xml");
        exchange.sendResponseHeaders(200, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
        if (method.startsWith("plugin.answer")) answers.add(body);
    }

    static String nextCall() {
        try {
            var call = calls.poll(100, TimeUnit.MILLISECONDS);
            return call == null ? "<struct></struct>" : call;
        } catch (InterruptedException error) {
            return "<struct></struct>";
        }
    }
}

/* Tests of ham.spam: they start it as the relay does, and play the relay. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/server.h>

static xmlrpc_env env;
static xmlrpc_registry *methods;
static int listener, failures;
static pid_t program;
/* The call that the program fetches, its answer, and the dicts that it sends. */
static xmlrpc_value *next, *answered, *sent;

static void need(bool is_met, const char *what)
{
    if (is_met && !env.fault_occurred) return;
    fprintf(stderr, "%s: %s\n", what, env.fault_occurred ? env.fault_string : "failed");
    if (program > 0) kill(program, SIGKILL);
    exit(1);
}

static void check(bool is_right, const char *what)
{
    printf("%s - %s\n", is_right ? "ok" : "not ok", what);
    if (!is_right) failures++;
}

/* The methods of the relay. */
static xmlrpc_value *take_next(xmlrpc_env *e, xmlrpc_value *params, void *data)
{
    xmlrpc_INCREF(next);
    return next;
}

static xmlrpc_value *take_answer(xmlrpc_env *e, xmlrpc_value *params, void *data)
{
    xmlrpc_array_read_item(e, params, 1, &answered);
    return xmlrpc_bool_new(e, true);
}

static xmlrpc_value *take_dict(xmlrpc_env *e, xmlrpc_value *params, void *data)
{
    xmlrpc_value *dict;
    xmlrpc_array_read_item(e, params, 0, &dict);
    xmlrpc_array_append_item(e, sent, dict);
    return xmlrpc_bool_new(e, true);
}

/* Answers one request of the program. */
static void serve(void)
{
    static char body[100000];
    char line[1000] = "";
    size_t length = 0;
    xmlrpc_mem_block *answer;
    FILE *request = fdopen(accept(listener, NULL, NULL), "r");
    need(request, "waiting for the program");
    while (fgets(line, sizeof(line), request) && strcmp(line, "\r\n") != 0) {
        if (strncasecmp(line, "Content-Length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
    }
    need(length <= sizeof(body) && fread(body, 1, length, request) == length, "reading a request");
    xmlrpc_registry_process_call2(&env, methods, body, length, NULL, &answer);
    need(true, "answering a request");
    length = xmlrpc_mem_block_size(answer);
    dprintf(fileno(request), "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%.*s", length,
            (int)length, (char *)xmlrpc_mem_block_contents(answer));
    fclose(request);
    xmlrpc_mem_block_free(answer);
}

/* Calls a method of the program: the program fetches the call. Returns its answer, or the code of its fault. */
static xmlrpc_value *call(const char *method, xmlrpc_value *params)
{
    need(true, method);
    next = xmlrpc_build_value(&env, "{s:s,s:s,s:V}", "id", "a1", "method", method, "params", params);
    answered = NULL;
    while (!answered) serve();
    return answered;
}

static int number_of(xmlrpc_value *value)
{
    xmlrpc_int number;
    xmlrpc_read_int(&env, value, &number);
    need(true, "reading a number");
    return number;
}

static bool has_text(xmlrpc_value *value, const char *format, const char *one, const char *other, const char *text)
{
    const char *found;
    bool is_equal;
    xmlrpc_decompose_value(&env, value, format, one, other, &found);
    need(true, "reading a text");
    is_equal = strcmp(found, text) == 0;
    free((void *)found);
    return is_equal;
}

/* Starts the program; returns its output. */
static FILE *start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    socklen_t size = sizeof(address);
    char url[100];
    int output[2];
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 5) == 0, "listening");
    need(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0, "setting a time limit");
    need(getsockname(listener, (struct sockaddr *)&address, &size) == 0 && pipe(output) == 0, "opening a pipe");
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/RPC2", ntohs(address.sin_port));
    setenv("CO2_RELAY_URL", url, 1);
    setenv("CO2_PLUGIN_NAME", "ham.spam", 1);
    setenv("CO2_PLUGIN_TOKEN", "secret", 1);
    program = fork();
    if (program == 0) {
        dup2(output[1], STDOUT_FILENO);
        execl("./spam", "./spam", NULL);
        _exit(127);
    }
    need(program > 0, "starting the program");
    close(output[1]);
    return fdopen(output[0], "r");
}

static xmlrpc_value *dict(const char *data)
{
    return xmlrpc_build_value(&env, "({s:s,s:s})", "host_id", "ann@192.0.2.7:2004", "data", data);
}

int main(void)
{
    char line[100] = "";
    int status;
    setvbuf(stdout, NULL, _IOLBF, 0);
    xmlrpc_env_init(&env);
    methods = xmlrpc_registry_new(&env);
    xmlrpc_registry_add_method(&env, methods, NULL, "plugin.next", take_next, NULL);
    xmlrpc_registry_add_method(&env, methods, NULL, "plugin.answer", take_answer, NULL);
    xmlrpc_registry_add_method(&env, methods, NULL, "plugin.answer_fault", take_answer, NULL);
    xmlrpc_registry_add_method(&env, methods, NULL, "relay.relay", take_dict, NULL);
    sent = xmlrpc_array_new(&env);
    FILE *output = start();
    check(fgets(line, sizeof(line), output) && strcmp(line, "co2|1|poll\n") == 0, "prints the handshake line");
    xmlrpc_value *about = call("plugin.describe", xmlrpc_array_new(&env));
    check(has_text(about, "{s:({s:s,*}),*}", "methods", "name", "ham.spam.add"), "describes its method");
    check(number_of(call("ham.spam.add", xmlrpc_build_value(&env, "(ii)", 2, 3))) == 5, "adds two numbers");
    check(number_of(call("ham.spam.subtract", xmlrpc_array_new(&env))) == -32601, "rejects unknown methods");
    call("notify", dict("hello"));
    check(xmlrpc_array_size(&env, sent) == 0, "ignores other dicts");
    call("notify", dict("ping"));
    check(xmlrpc_array_size(&env, sent) == 1 && has_text(sent, "({s:{s:s,*},*})", "data", "pong", "ann@192.0.2.7:2004"), "answers a ping");
    call("plugin.stop", xmlrpc_array_new(&env));
    check(waitpid(program, &status, 0) == program && WIFEXITED(status) && WEXITSTATUS(status) == 0, "stops on request");
    return failures > 0;
}

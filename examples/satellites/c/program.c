/* A satellite in C (xmlrpc-c) that a relay runs; it fetches its calls: answers pings, and adds two numbers.
   cc -o program program.c -lxmlrpc_client -lxmlrpc -lxmlrpc_util */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/client.h>

static xmlrpc_env env;
static const char *url, *name;

static void check(void)
{
    if (!env.fault_occurred) return;
    fprintf(stderr, "%s\n", env.fault_string);
    exit(1);
}

static xmlrpc_value *ask(const char *method, const char *format, const char *id, xmlrpc_value *value)
{
    xmlrpc_value *answer = xmlrpc_client_call(&env, url, method, format, id, value);
    check();
    return answer;
}

static xmlrpc_value *describe(void)
{
    char add[200];
    snprintf(add, sizeof(add), "%s.add", name);
    return xmlrpc_build_value(&env, "{s:(ss),s:({s:s,s:s,s:((sss))})}", "capabilities", "receive", "exposed", "methods",
                              "name", add, "help", "Adds two integers.", "signature", "int", "int", "int");
}

static xmlrpc_value *notify(xmlrpc_value *params)
{
    xmlrpc_value *dict, *data;
    const char *text = "";
    xmlrpc_decompose_value(&env, params, "(V)", &dict);
    xmlrpc_struct_find_value(&env, dict, "data", &data);
    if (data && xmlrpc_value_type(data) == XMLRPC_TYPE_STRING) xmlrpc_read_string(&env, data, &text);
    if (strcmp(text, "ping") == 0) xmlrpc_client_call(&env, url, "relay.relay", "({s:{s:s}})", "data", "pong", name);
    return xmlrpc_bool_new(&env, 1);
}

static xmlrpc_value *add(xmlrpc_value *params)
{
    xmlrpc_int a, b;
    xmlrpc_decompose_value(&env, params, "(ii)", &a, &b);
    return xmlrpc_int_new(&env, a + b);
}

int main(void)
{
    const char *id, *method = "";
    url = getenv("CO2_RELAY_URL");
    name = getenv("CO2_PLUGIN_NAME");
    if (!getenv("CO2_PLUGIN_TOKEN") || !url || !name) {
        fputs("A satellite of co2-relay, which runs it: programs: [{ name: 'c.adder', exec: './program' }] in config.ts\n", stderr);
        return 1;
    }
    xmlrpc_env_init(&env);
    xmlrpc_client_init2(&env, XMLRPC_CLIENT_NO_FLAGS, name, "1", NULL, 0);
    check();
    puts("co2|1|poll");
    fflush(stdout);
    while (strcmp(method, "plugin.stop") != 0) {
        xmlrpc_value *params, *answer = NULL, *call = xmlrpc_client_call(&env, url, "plugin.next", "()");
        check();
        if (xmlrpc_struct_size(&env, call) == 0) continue;
        xmlrpc_decompose_value(&env, call, "{s:s,s:s,s:A,*}", "id", &id, "method", &method, "params", &params);
        check();
        const char *own = strrchr(method, '.') ? strrchr(method, '.') + 1 : "";
        if (strcmp(method, "plugin.describe") == 0) answer = describe();
        else if (strcmp(method, "notify") == 0) answer = notify(params);
        else if (strcmp(method, "ping") == 0 || strcmp(method, "plugin.stop") == 0) answer = xmlrpc_bool_new(&env, 1);
        else if (strncmp(method, name, strlen(name)) == 0 && strcmp(own, "add") == 0) answer = add(params);
        check();
        if (answer) ask("plugin.answer", "(sV)", id, answer);
        else xmlrpc_client_call(&env, url, "plugin.answer_fault", "(sis)", id, -32601, "no such method");
        check();
    }
    return 0;
}

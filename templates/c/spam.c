/* ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts), which polls for its calls. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/client.h>

static const char *name;
static xmlrpc_server_info *relay;

/* Called for each dict of the network. */
static xmlrpc_value *notify(xmlrpc_env *env, xmlrpc_value *params)
{
    xmlrpc_value *data, *answer;
    const char *host_id, *text;
    xmlrpc_decompose_value(env, params, "({s:V,s:s,*})", "data", &data, "host_id", &host_id);
    if (env->fault_occurred) return NULL;
    if (xmlrpc_value_type(data) == XMLRPC_TYPE_STRING) {
        xmlrpc_read_string(env, data, &text);
        if (!env->fault_occurred && strcmp(text, "ping") == 0) {
            answer = xmlrpc_client_call_server(env, relay, "relay.relay", "({s:{s:s}})", "data", "pong", host_id);
            if (!env->fault_occurred) xmlrpc_DECREF(answer);
        }
        if (!env->fault_occurred) free((void *)text);
    }
    xmlrpc_DECREF(data);
    free((void *)host_id);
    return env->fault_occurred ? NULL : xmlrpc_bool_new(env, true);
}

static xmlrpc_value *add(xmlrpc_env *env, xmlrpc_value *params)
{
    xmlrpc_int a, b, sum;
    xmlrpc_decompose_value(env, params, "(ii)", &a, &b);
    if (env->fault_occurred) return NULL;
    if (!__builtin_add_overflow(a, b, &sum)) return xmlrpc_int_new(env, sum);
    xmlrpc_env_set_fault(env, 1, "the sum does not fit an int");
    return NULL;
}

static xmlrpc_value *describe(xmlrpc_env *env, xmlrpc_value *params)
{
    char own[200];
    snprintf(own, sizeof(own), "%s.add", name);
    return xmlrpc_build_value(env, "{s:(ss),s:(ss),s:({s:s,s:s,s:((sss))})}", "capabilities", "receive", "exposed", "reads", "nil", "i8",
                              "methods", "name", own, "help", "Adds two numbers.", "signature", "int", "int", "int");
}

static xmlrpc_value *get_version(xmlrpc_env *env, xmlrpc_value *params)
{
    return xmlrpc_build_value(env, "{s:s}", "version", "0.1.0");
}

static xmlrpc_value *stop(xmlrpc_env *env, xmlrpc_value *params)
{
    return xmlrpc_bool_new(env, true);
}

static const struct {
    const char *name; /* methods of this satellite omit its name */
    xmlrpc_value *(*call)(xmlrpc_env *, xmlrpc_value *);
} METHODS[] = {{"plugin.get_version", get_version}, {"plugin.describe", describe}, {"plugin.stop", stop}, {"notify", notify}, {".add", add}};

static xmlrpc_value *call_method(xmlrpc_env *env, const char *method, xmlrpc_value *params)
{
    size_t length = strlen(name);
    const char *wanted = strncmp(method, name, length) == 0 && method[length] == '.' ? method + length : method;
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++) {
        if (strcmp(METHODS[i].name, wanted) == 0) return METHODS[i].call(env, params);
    }
    xmlrpc_env_set_fault(env, -32601, "no such method");
    return NULL;
}

/* Returns the value, or exits if the call failed. */
static xmlrpc_value *needed(xmlrpc_env *env, xmlrpc_value *value)
{
    if (!env->fault_occurred) return value;
    fprintf(stderr, "%s\n", env->fault_string);
    exit(1);
}

static void answer(const char *id, const char *method, xmlrpc_value *params)
{
    xmlrpc_env own, env;
    xmlrpc_value *result, *reply;
    xmlrpc_env_init(&own);
    xmlrpc_env_init(&env);
    result = call_method(&own, method, params);
    if (own.fault_occurred)
        reply = xmlrpc_client_call_server(&env, relay, "plugin.answer_fault", "(sis)", id, own.fault_code, own.fault_string);
    else
        reply = xmlrpc_client_call_server(&env, relay, "plugin.answer", "(sV)", id, result);
    xmlrpc_DECREF(needed(&env, reply));
    if (!own.fault_occurred) xmlrpc_DECREF(result);
    xmlrpc_env_clean(&own);
    xmlrpc_env_clean(&env);
}

/* Fetches and answers one call, if there is one; returns false after the last. */
static bool serve(void)
{
    xmlrpc_env env;
    xmlrpc_value *params, *call;
    const char *id, *method;
    bool is_running = true;
    xmlrpc_env_init(&env);
    call = needed(&env, xmlrpc_client_call_server(&env, relay, "plugin.next", "()"));
    if (xmlrpc_struct_size(&env, call) > 0) {
        xmlrpc_decompose_value(&env, call, "{s:s,s:s,s:A,*}", "id", &id, "method", &method, "params", &params);
        needed(&env, call);
        answer(id, method, params);
        is_running = strcmp(method, "plugin.stop") != 0;
        xmlrpc_DECREF(params);
        free((void *)id);
        free((void *)method);
    }
    xmlrpc_DECREF(call);
    xmlrpc_env_clean(&env);
    return is_running;
}

int main(void)
{
    xmlrpc_env env;
    const char *url = getenv("CO2_RELAY_URL"), *token = getenv("CO2_PLUGIN_TOKEN");
    name = getenv("CO2_PLUGIN_NAME");
    if (!token || !url || !name) {
        fputs("ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts\n", stderr);
        return 1;
    }
    xmlrpc_env_init(&env);
    /* The same limits as the relay. */
    xmlrpc_limit_set(XMLRPC_XML_SIZE_LIMIT_ID, 64 * 1024 * 1024);
    xmlrpc_limit_set(XMLRPC_NESTING_LIMIT_ID, 100);
    xmlrpc_client_init2(&env, XMLRPC_CLIENT_NO_FLAGS, name, "1", NULL, 0);
    needed(&env, NULL);
    relay = xmlrpc_server_info_new(&env, url);
    xmlrpc_server_info_set_user(&env, relay, "plugin", token);
    xmlrpc_server_info_allow_auth_basic(&env, relay);
    needed(&env, NULL);
    puts("co2|1|poll");
    fflush(stdout);
    while (serve()) continue;
    return 0;
}

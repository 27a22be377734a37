/* The C client of xmlrpc-c: echo URL SHAPE. Fails at the first answer that is not as expected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/client.h>

static xmlrpc_env env;
static char url[300];

static void check(int holds, const char *what)
{
    if (env.fault_occurred) fprintf(stderr, "%s: fault %d: %s\n", what, env.fault_code, env.fault_string);
    else if (!holds) fprintf(stderr, "%s: not as expected\n", what);
    if (env.fault_occurred || !holds) exit(1);
}

static xmlrpc_value *call(const char *method, xmlrpc_value *params)
{
    xmlrpc_value *result;
    check(1, "building parameters");
    result = xmlrpc_client_call_params(&env, url, method, params);
    xmlrpc_DECREF(params);
    return result;
}

/* True if the answer is exactly this string; with NULL, whatever string it is. */
static int is_text(xmlrpc_value *answer, const char *wanted)
{
    const char *text = NULL;
    int same;
    if (!env.fault_occurred) xmlrpc_read_string(&env, answer, &text);
    check(1, "reading a string");
    same = wanted == NULL || strcmp(text, wanted) == 0;
    if (!same) fprintf(stderr, "found %s\n", text);
    free((void *)text);
    return same;
}

/* Calls that must end in a fault of this code; the library puts words of its own before the text. */
static void expect_fault(const char *method, xmlrpc_value *params, int code, const char *text)
{
    check(1, method);
    xmlrpc_client_call_params(&env, url, method, params);
    if (!env.fault_occurred || env.fault_code != code || (text && !strstr(env.fault_string, text))) {
        fprintf(stderr, "%s: fault %d: %s\n", method, env.fault_code, env.fault_string ? env.fault_string : "none");
        exit(1);
    }
    xmlrpc_env_clean(&env);
    xmlrpc_env_init(&env);
}

static void introspection(void)
{
    xmlrpc_value *names = call("system.listMethods", xmlrpc_build_value(&env, "()"));
    int found = 0, count, i;
    check(1, "system.listMethods");
    count = xmlrpc_array_size(&env, names);
    for (i = 0; i < count; i++) {
        xmlrpc_value *name;
        const char *text;
        xmlrpc_array_read_item(&env, names, i, &name);
        xmlrpc_read_string(&env, name, &text);
        if (!strcmp(text, "interop.echo.any")) found = 1;
    }
    check(found, "interop.echo.any is listed");
    check(is_text(call("system.methodHelp", xmlrpc_build_value(&env, "(s)", "interop.echo.any")), "Answers its parameter."), "help");
    check(xmlrpc_array_size(&env, call("system.methodSignature", xmlrpc_build_value(&env, "(s)", "interop.echo.double"))) == 1, "signature");
    puts("introspection ok");
}

static xmlrpc_value *build(void)
{
    static const unsigned char bytes[] = {0, 1, 10, 13, 254, 255};
    return xmlrpc_build_value(&env, "({s:6,s:(ddd),s:(bb),s:(iiii),s:{s:{s:(i(i(i()))S)},s:({s:s}{s:s})},s:s,s:8})",
        "bytes", bytes, (size_t)6, "doubles", 0.1, -2.5, 1048576.125, "flags", (xmlrpc_bool)1, (xmlrpc_bool)0,
        "ints", 0, -1, 2147483647, (xmlrpc_int32)(-2147483647 - 1),
        "nested", "inner", "deep", 1, 2, 3, xmlrpc_struct_new(&env), "list", "a", "b", "a", "c",
        "text", "h\303\251 \346\274\242 <&> ]]> \"q\" '\n\t", "when", "20240203T04:05:06");
}

static void values(const char *shape)
{
    xmlrpc_value *back, *again, *number;
    double whole;
    check(is_text(call("interop.echo.shape", build()), shape), "what the relay read");
    back = call("interop.echo.any", build());
    check(xmlrpc_value_type(back) == XMLRPC_TYPE_STRUCT, "an answer of its type");
    again = xmlrpc_array_new(&env);
    xmlrpc_array_append_item(&env, again, back);
    check(is_text(call("interop.echo.shape", again), shape), "what the C library read and wrote again");
    number = call("interop.echo.double", xmlrpc_build_value(&env, "(d)", 1.0));
    xmlrpc_read_double(&env, number, &whole);
    check(whole == 1.0, "a whole double");
    puts("values ok");
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    snprintf(url, sizeof url, "%s/RPC2", argv[1]);
    xmlrpc_env_init(&env);
    xmlrpc_client_init2(&env, XMLRPC_CLIENT_NO_FLAGS, "echo", "1", NULL, 0);
    introspection();
    values(argv[2]);
    expect_fault("interop.echo.fail", xmlrpc_build_value(&env, "(is)", 42, "no <such> room & h\303\251"), 42, "no <such> room & h\303\251");
    expect_fault("no.such.method", xmlrpc_build_value(&env, "()"), -32601, NULL);
    puts("faults ok");
    return 0;
}

/* A server with xmlrpc-c's Abyss: abyss. Prints its port. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/server.h>
#include <xmlrpc-c/server_abyss.h>

static xmlrpc_value *add(xmlrpc_env *env, xmlrpc_value *params, void *info, void *call)
{
    xmlrpc_int a, b;
    (void)info;
    (void)call;
    xmlrpc_decompose_value(env, params, "(ii)", &a, &b);
    return env->fault_occurred ? NULL : xmlrpc_int_new(env, a + b);
}

static xmlrpc_value *notify(xmlrpc_env *env, xmlrpc_value *params, void *info, void *call)
{
    (void)params;
    (void)info;
    (void)call;
    return xmlrpc_bool_new(env, 1);
}

int main(void)
{
    xmlrpc_env env;
    xmlrpc_server_abyss_parms parms;
    struct xmlrpc_method_info3 sum = {.methodName = "bench.box.add", .methodFunction = &add};
    struct xmlrpc_method_info3 take = {.methodName = "notify", .methodFunction = &notify};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int handle = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(handle, (struct sockaddr *)&address, length) != 0 || getsockname(handle, (struct sockaddr *)&address, &length) != 0) return 1;
    xmlrpc_env_init(&env);
    memset(&parms, 0, sizeof(parms));
    parms.registryP = xmlrpc_registry_new(&env);
    xmlrpc_registry_add_method3(&env, parms.registryP, &sum);
    xmlrpc_registry_add_method3(&env, parms.registryP, &take);
    parms.socket_bound = 1;
    parms.socket_handle = handle;
    parms.keepalive_max_conn = 1000000000;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    xmlrpc_server_abyss(&env, &parms, XMLRPC_APSIZE(socket_handle));
    fprintf(stderr, "%s\n", env.fault_string);
    return 1;
}

/* The C++ client of xmlrpc-c: long URL. Each 64-bit integer must come back as one: the library throws if it is a double. */
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>
#include <xmlrpc-c/base.hpp>
#include <xmlrpc-c/client_simple.hpp>

static xmlrpc_c::clientSimple client;
static std::string url;

static xmlrpc_c::value call(const std::string &method, const xmlrpc_c::value &param)
{
    xmlrpc_c::paramList params;
    xmlrpc_c::value result;
    params.add(param);
    client.call(url, method, params, &result);
    return result;
}

static void expect(long long found, long long wanted)
{
    if (found == wanted) return;
    std::cerr << "found " << found << ", wanted " << wanted << std::endl;
    std::exit(1);
}

int main(int, char **argv)
{
    const long long values[] = {1099511627776LL, -1099511627776LL, 2147483648LL, 9007199254740993LL, 9223372036854775807LL};
    url = std::string(argv[1]) + "/RPC2";
    try {
        for (long long value : values) {
            expect(static_cast<long long>(xmlrpc_c::value_i8(call("interop.echo.any", xmlrpc_c::value_i8(value)))), value);

            std::vector<xmlrpc_c::value> list{xmlrpc_c::value_i8(value)};
            std::map<std::string, xmlrpc_c::value> inner{
                {"methodName", xmlrpc_c::value_string("interop.echo.any")}, {"params", xmlrpc_c::value_array(list)}};
            std::vector<xmlrpc_c::value> calls{xmlrpc_c::value_struct(inner)};
            xmlrpc_c::value_array results(call("system.multicall", xmlrpc_c::value_array(calls)));
            xmlrpc_c::value_array result(results.vectorValueValue().at(0));
            expect(static_cast<long long>(xmlrpc_c::value_i8(result.vectorValueValue().at(0))), value);
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
    std::cout << "integers of 64 bits ok" << std::endl;
    return 0;
}

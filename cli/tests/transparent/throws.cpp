// Exceptions and streams. The first argument chooses.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

struct Loud { ~Loud() { std::cerr << "unwound\n"; } };

static void thrower(int depth) {
    Loud loud;
    if (depth == 0) throw std::runtime_error("thrown");
    thrower(depth - 1);
}

int main(int, char **arguments) {
    std::string what = arguments[1];
    if (what == "unsynced") std::ios::sync_with_stdio(false);
    std::cout << "out " << 1 << "\n" << std::flush;
    std::cerr << "err " << 2.5 << std::endl;
    if (what == "throw") thrower(2);
    if (what == "catch") {
        try { thrower(3); } catch (const std::exception &e) { std::cout << e.what() << "\n"; }
        std::thread([] { try { thrower(1); } catch (...) { std::clog << "in a thread\n"; } }).join();
    }
    if (what == "terminate") { std::cout << "in the buffer\n"; std::terminate(); }
    if (what == "streams" || what == "unsynced") {
        for (int i = 0; i < 5000; i++) std::cout << i << '\n';
        std::printf("by printf\n");
        std::fflush(stdout);
        std::ofstream("data") << "file\n";
        std::wcerr << L"wide\n";
        std::cout.put('x').write("yz\n", 3);
    }
    return 3;
}

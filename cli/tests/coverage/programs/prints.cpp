// The streams of C++, a way to use them for each first argument.
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <syncstream>
#if __has_include(<format>)
#include <format>
#endif
#if __has_include(<print>)
#include <print>
#endif

int main(int, char **arguments) {
    const std::string how = arguments[1];
    if (how == "unsynced") std::ios::sync_with_stdio(false);
    if (how == "streams" || how == "unsynced") {
        std::cout << "cout " << 1 << ' ' << std::setw(8) << 2.5 << '\n' << std::flush;
        std::cerr << "cerr " << true << std::endl;
        std::clog << "clog " << std::hex << 255 << std::endl;
        std::cout.put('p').write("ut and write\n", 13);
        if (how == "streams") std::printf("printf between\n");
        std::wcerr << L"wcerr" << std::endl;
        std::osyncstream(std::cout) << "osyncstream\n";
        for (int i = 0; i < 2000; i++) std::cout << "line " << i << '\n';
        std::cout << "no newline";
    }
    if (how == "format") {
#ifdef __cpp_lib_format
        std::cout << std::format("format {}\n", 1);
#endif
#ifdef __cpp_lib_print
        std::println("println {}", 2);
        std::println(stderr, "println {}", 3);
#endif
        std::cout << "formatted\n";
    }
    if (how == "throw") throw std::runtime_error("nobody catches this");
    if (how == "terminate") throw 7;
}

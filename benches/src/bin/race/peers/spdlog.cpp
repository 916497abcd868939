// An asynchronous logger of spdlog: a queue, and one thread of the library's that takes records out of it and counts their bytes.
#include <spdlog/async.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

// Records in the queue: some 16 MB of payload, as the ring has.
constexpr std::size_t QUEUE = 128 * 1024;

static std::atomic<std::uint64_t> taken;

// For one thread: no other ever calls it.
struct Sink : spdlog::sinks::base_sink<spdlog::details::null_mutex>
{
    void sink_it_(const spdlog::details::log_msg &msg) override
    {
        taken.store(taken.load(std::memory_order_relaxed) + msg.payload.size(), std::memory_order_relaxed);
    }

    void flush_() override {}
};

static std::shared_ptr<spdlog::details::thread_pool> pool;
static std::shared_ptr<spdlog::async_logger> logger;

extern "C" std::uint64_t spdlog_open()
{
    pool = std::make_shared<spdlog::details::thread_pool>(QUEUE, 1);
    auto sink = std::make_shared<Sink>();
    logger = std::make_shared<spdlog::async_logger>("race", sink, pool, spdlog::async_overflow_policy::overrun_oldest);
    return 0;
}

extern "C" void spdlog_append(const char *payload, std::size_t len)
{
    logger->log(spdlog::level::info, spdlog::string_view_t(payload, len));
}

extern "C" std::uint64_t spdlog_dropped()
{
    return pool->overrun_counter();
}

// Payload bytes that came out of the queue.
extern "C" std::uint64_t spdlog_taken()
{
    return taken.load();
}

// Waits until the queue is empty.
extern "C" std::uint64_t spdlog_close()
{
    logger.reset();
    pool.reset();
    return 0;
}

// What a thousand channels hold. spec: scp.md#limits
#include "scp_fixture.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace sealine::io::scp {
namespace {

using test::ScpLoopback;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasures = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kMeasures = false;
#else
constexpr bool kMeasures = true;
#endif
#else
constexpr bool kMeasures = true;
#endif

constexpr std::size_t kChannels = kMeasures ? 1000 : 50;
constexpr std::size_t kAllowedBytes = 1'000'000;  // of one channel, both of its ends together

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

bool may_open(std::size_t descriptors) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= descriptors;
}

TEST(ScpMemory, AThousandChannelsWithMessagesUpTo64KiBHoldLessThanAMegabyteEach) {
  if (!may_open(2 * kChannels + 100)) GTEST_SKIP() << "not enough descriptors";
  ScpLoopback net;
  net.server().on_connection([](Channel client) -> Task {
    while (auto message = co_await client.receive()) co_await client.send(message.text());
  });
  const std::vector<std::string> messages = {std::string(64, 'a'), std::string(65536, 'b'),
                                             std::string(1000, 'c'), std::string(65536, 'd')};
  std::size_t finished = 0;
  std::size_t peak = 0;
  std::vector<Channel> kept;
  auto talking = [&](ScpLoopback& on) -> Task {
    auto channel = co_await on.dial();
    for (const std::string& message : messages) {
      co_await channel.send(message);
      EXPECT_EQ((co_await channel.receive()).size(), message.size());
    }
    peak = std::max(peak, resident_bytes());
    kept.push_back(std::move(channel));
    ++finished;
  };
  const std::size_t before = resident_bytes();
  for (std::size_t i = 0; i < kChannels; ++i) net.beside(talking(net));
  net.run_until([&] { return finished == kChannels; });
  EXPECT_EQ(net.server().statistics().channels, kChannels);
  const std::size_t each = (std::max(peak, before) - before) / kChannels;
  RecordProperty("bytes_each", static_cast<int>(each));
  std::printf("a channel's two ends: %zu bytes at the peak, %zu idle\n", each,
              (std::max(resident_bytes(), before) - before) / kChannels);
  if (kMeasures) {
    EXPECT_LT(each, kAllowedBytes);
  }
  for (Channel& channel : kept) channel.drop();
}

}  // namespace
}  // namespace sealine::io::scp

// Secrets that the processor must not decide by. Run under valgrind's memcheck, with the secrets
// marked as undefined: every branch and every address that depends on one is a report.
//
// What a comparison comes to is public, once it is done: such a verdict is a branch and so a report
// as well. A case says how many verdicts it has, and runs in a child process of its own, so that
// those reports do not count for the whole; a branch for each byte would be many more.
#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/engine.hpp"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define SEALINE_HAVE_MEMCHECK 1
#endif

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace sealine::test {

#if defined(SEALINE_HAVE_MEMCHECK)

inline void make_secret(ByteView bytes) { VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size()); }

inline void make_public(ByteView bytes) { VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size()); }

/// The outcome of a comparison, from here on public.
inline void make_public(bool& verdict) { VALGRIND_MAKE_MEM_DEFINED(&verdict, sizeof verdict); }

/// Reports that valgrind makes during `what`, which runs in a child.
inline unsigned long reports_of(const std::function<void()>& what) {
  int ends[2];
  if (::pipe(ends) != 0) return ~0UL;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const unsigned long before = VALGRIND_COUNT_ERRORS;
    what();
    const unsigned long made = VALGRIND_COUNT_ERRORS - before;
    const bool told = ::write(ends[1], &made, sizeof made) == sizeof made;
    ::_exit(told ? 0 : 1);
  }
  unsigned long made = ~0UL;
  ::close(ends[1]);
  if (::read(ends[0], &made, sizeof made) != sizeof made) made = ~0UL;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return made;
}

class Cases {
 public:
  void run(const char* name, unsigned long verdicts, const std::function<void()>& what) {
    const unsigned long reports = reports_of(what);
    const bool is_good = reports <= verdicts;
    std::printf("%s %s: %lu reports, %lu verdicts\n", is_good ? "ok" : "not ok", name, reports,
                verdicts);
    if (!is_good) failed_ = true;
  }

  [[nodiscard]] bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

/// Both engines, if the machine has both: each has tables and comparisons of its own.
inline int for_each_engine(const std::function<void(Cases&, crypto::Engine&)>& run) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::printf("SKIPPED: this runs under valgrind alone\n");
    return 77;
  }
  const unsigned long seen = reports_of([] {
    std::string secret = "secret";
    make_secret(as_bytes(secret));
    if (secret[3] == 7) std::printf("-");
  });
  if (seen == 0) {
    std::printf("not ok valgrind sees nothing\n");
    return 1;
  }
  std::printf("ok a branch on a secret is seen\n");
  bool is_good = true;
  for (const auto choice : {crypto::EngineChoice::openssl, crypto::EngineChoice::ipsec_mb}) {
    const auto engine = crypto::make_engine(choice);
    if (!engine) {
      std::printf("no ipsec-mb here\n");
      continue;
    }
    std::printf("with %s\n", std::string((*engine)->name()).c_str());
    Cases cases;
    run(cases, **engine);
    is_good = is_good && !cases.failed();
  }
  return is_good ? 0 : 1;
}

#endif

}  // namespace sealine::test

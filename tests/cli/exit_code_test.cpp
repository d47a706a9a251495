#include "cli/exit_code.hpp"

#include "sealine/base/errc.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace sealine::cli {
namespace {

struct Row {
  Errc code;
  int start, connect, handshake, unanswered, session;  // where no secret is proved
  int proved_handshake, proved_unanswered;             // where one is
};

// Environment errors say start and connect; faults of the protocol never come that early, so there
// the columns repeat what a handshake would give.
constexpr Row kRows[] = {
    {Errc::usage, 2, 2, 2, 2, 2, 2, 2},
    {Errc::bad_secret_file, 2, 2, 2, 2, 2, 2, 2},
    {Errc::secret_in_arguments, 2, 2, 2, 2, 2, 2, 2},
    {Errc::bad_configuration, 2, 2, 2, 2, 2, 2, 2},
    {Errc::bad_file_line, 2, 2, 2, 2, 2, 2, 2},
    {Errc::peer_key_changed, 3, 3, 3, 7, 7, 3, 7},
    {Errc::answer_not_authentic, 3, 3, 3, 7, 7, 3, 7},
    {Errc::dh_all_zero, 3, 3, 3, 7, 7, 3, 7},
    {Errc::record_not_authentic, 3, 3, 3, 7, 7, 3, 7},
    {Errc::record_out_of_place, 3, 3, 3, 7, 7, 3, 7},
    {Errc::certificate_untrusted, 3, 3, 3, 7, 7, 3, 7},
    {Errc::certificate_of_another, 3, 3, 3, 7, 7, 3, 7},
    {Errc::peer_fell_silent, 3, 3, 3, 3, 3, 3, 3},
    {Errc::truncated, 4, 4, 4, 7, 7, 3, 3},
    {Errc::connection_lost, 4, 4, 4, 7, 7, 3, 3},
    {Errc::handshake_timeout, 4, 4, 4, 4, 4, 3, 3},
    {Errc::aborted, 7, 7, 7, 7, 7, 7, 7},
    {Errc::bad_length, 9, 9, 9, 7, 7, 9, 7},
    {Errc::bad_record_head, 9, 9, 9, 9, 9, 9, 9},
    {Errc::bad_settings, 9, 9, 9, 9, 9, 9, 9},
    {Errc::bad_trailer, 9, 9, 9, 9, 9, 9, 9},
    {Errc::wrong_state, 9, 9, 9, 9, 9, 9, 9},
    {Errc::not_this_protocol, 9, 9, 9, 9, 9, 9, 9},
    {Errc::no_tls, 9, 9, 9, 9, 9, 9, 9},
    {Errc::tls_failed, 9, 9, 9, 9, 9, 9, 9},
    {Errc::name_not_found, 4, 4, 4, 4, 4, 4, 4},
    {Errc::unreachable, 4, 4, 4, 4, 4, 4, 4},
    {Errc::connection_refused, 4, 4, 4, 4, 4, 4, 4},
    {Errc::connect_timeout, 4, 4, 4, 4, 4, 4, 4},
    {Errc::no_answer, 4, 4, 4, 4, 4, 4, 4},
    {Errc::gave_up, 5, 5, 5, 5, 5, 5, 5},
    {Errc::idle_timeout, 6, 6, 6, 6, 6, 6, 6},
    {Errc::too_slow, 6, 6, 6, 6, 6, 6, 6},
    {Errc::sequence_exhausted, 6, 6, 6, 6, 6, 6, 6},
    {Errc::file_error, 8, 8, 8, 8, 8, 8, 8},
    {Errc::file_locked, 8, 8, 8, 8, 8, 8, 8},
    {Errc::system_error, 1, 4, 1, 1, 1, 1, 1},
    {Errc::command_failed, 1, 1, 1, 1, 1, 1, 1},
};

TEST(ExitCode, follows_the_table) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::string(describe(row.code).name));
    const Error error{row.code};
    EXPECT_EQ(exit_code(error, Phase::start, Proof::none), row.start);
    EXPECT_EQ(exit_code(error, Phase::connect, Proof::none), row.connect);
    EXPECT_EQ(exit_code(error, Phase::handshake, Proof::none), row.handshake);
    EXPECT_EQ(exit_code(error, Phase::unanswered, Proof::none), row.unanswered);
    EXPECT_EQ(exit_code(error, Phase::session, Proof::none), row.session);
    EXPECT_EQ(exit_code(error, Phase::handshake, Proof::secret), row.proved_handshake);
    EXPECT_EQ(exit_code(error, Phase::unanswered, Proof::secret), row.proved_unanswered);
  }
}

TEST(ExitCode, every_error_has_a_code_from_the_table_of_meanings) {
  for (const ErrorInfo& info : all_errors()) {
    for (const Phase phase :
         {Phase::start, Phase::connect, Phase::handshake, Phase::unanswered, Phase::session}) {
      const int code = exit_code({info.code}, phase, Proof::none);
      EXPECT_GE(code, kExitFailure) << info.name;
      EXPECT_LE(code, kExitProtocol) << info.name;
    }
  }
}

TEST(ExitCode, missing_permission_is_local) {
  EXPECT_EQ(exit_code({Errc::system_error, EACCES}, Phase::start, Proof::none), kExitLocal);
}

}  // namespace
}  // namespace sealine::cli

#include <catch2/catch.hpp>

#include "cli/listing_commands.h"
#include "cli/run_options.h"

namespace penumbra::cli {

namespace {

std::expected<RunOptions, std::string> parse(const std::vector<std::string>& words) {
  auto arguments = parse_arguments(run_command(), words);
  if (!arguments) return std::unexpected(arguments.error());
  return parse_run_options(*arguments);
}

std::string error_of(const std::vector<std::string>& words) {
  auto parsed = parse(words);
  return parsed ? "" : parsed.error();
}

}  // namespace

TEST_CASE("a full command line is understood") {
  auto options = parse({"--kernel",
                        "k",
                        "--initrd=i",
                        "--append",
                        "console=ttyS0 x=\"y z\"",
                        "--memory",
                        "1G",
                        "--cpus",
                        "1",
                        "--cpu",
                        "default,-sse2",
                        "--engine",
                        "interp",
                        "--deterministic",
                        "--serial",
                        "stdio",
                        "--serial",
                        "file:a:b",
                        "--serial",
                        "none",
                        "--display",
                        "none",
                        "--debug-exit",
                        "--debugcon",
                        "d",
                        "--trace",
                        "exec:t",
                        "--stats",
                        "s",
                        "--max-instructions",
                        "3M",
                        "--save",
                        "f",
                        "--save-when",
                        "serial:login: ",
                        "--exit-after-save",
                        "--no-reboot"});
  REQUIRE(options);
  CHECK(options->kernel == "k");
  CHECK(options->initrd == "i");
  CHECK(options->append == "console=ttyS0 x=\"y z\"");
  CHECK(options->memory == 1ull << 30);
  CHECK(options->deterministic == true);
  CHECK(options->engine == machine::EngineKind::Interp);
  REQUIRE(options->serial.size() == 3);
  CHECK(options->serial[1].path == "a:b");
  CHECK(options->serial[2].kind == SerialOption::Kind::None);
  CHECK(options->debug_exit);
  CHECK(options->trace == "t");
  CHECK(options->max_instructions == 3'000'000);
  REQUIRE(options->save);
  CHECK(options->save->serial_text == "login: ");
  CHECK(options->save->exit_after);
  CHECK_FALSE(options->reboot);
}

TEST_CASE("defaults: COM1 on stdio, everything else open") {
  auto options = parse({"--kernel", "k"});
  REQUIRE(options);
  REQUIRE(options->serial.size() == 1);
  CHECK(options->serial[0].kind == SerialOption::Kind::Stdio);
  CHECK_FALSE(options->memory.has_value());
  CHECK_FALSE(options->deterministic.has_value());
  CHECK(options->reboot);
}

TEST_CASE("errors name the nearest option") {
  CHECK(error_of({"--kernal", "k"}).find("did you mean --kernel?") != std::string::npos);
  CHECK(error_of({"--mem", "k"}).find("did you mean --memory?") != std::string::npos);
  CHECK(error_of({"--determinstic"}).find("did you mean --deterministic?") != std::string::npos);
  CHECK(error_of({"--zzzzzz"}).find("did you mean") == std::string::npos);
  CHECK(error_of({"--kernel", "k", "--serial", "stdo"}).find("did you mean stdio?") !=
        std::string::npos);
}

TEST_CASE("engines are chosen by name") {
  using machine::EngineKind;
  CHECK(parse({"--kernel", "k"})->engine == EngineKind::Auto);
  CHECK(parse({"--kernel", "k", "--engine", "auto"})->engine == EngineKind::Auto);
  CHECK(parse({"--kernel", "k", "--engine", "baseline"})->engine == EngineKind::Baseline);
  CHECK(error_of({"--kernel", "k", "--engine", "intrep"}) ==
        "--engine: 'intrep' is none of auto, interp, baseline, lockstep; did you mean interp?");
}

TEST_CASE("lockstep is deterministic, of all of the run or a share of it") {
  auto whole = parse({"--kernel", "k", "--engine", "lockstep", "--engine-seed", "5"});
  REQUIRE(whole);
  CHECK(whole->deterministic == true);
  CHECK(whole->engine == machine::EngineKind::Baseline);
  CHECK(whole->engine_seed == 5);
  REQUIRE(whole->lockstep);
  CHECK(whole->lockstep->alone == 0);
  auto share = parse({"--kernel", "k", "--engine", "lockstep", "--lockstep-share", "50M/1G"});
  REQUIRE(share);
  CHECK(share->lockstep->window == 50'000'000);
  CHECK(share->lockstep->alone == 950'000'000);
  CHECK_FALSE(parse({"--kernel", "k", "--engine", "baseline"})->lockstep);
}

TEST_CASE("counts") {
  CHECK(parse_count("0") == 0);
  CHECK(parse_count("5000") == 5000);
  CHECK(parse_count("2G") == 2'000'000'000);
  for (const char* bad : {"", "x", "-1", "5T", "1.5", "5 ", "99999999999999999999G"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_count(bad).has_value());
  }
}

TEST_CASE("every option is in the help and has a group") {
  std::string help = help_text(run_command());
  for (const Option& option : run_command().options) {
    CHECK(help.find(std::string("--") + option.name) != std::string::npos);
    CHECK(std::string(option.group).size() > 2);
  }
  size_t start = 0;
  for (size_t end; (end = help.find('\n', start)) != std::string::npos; start = end + 1) {
    CHECK(end - start <= 100);
  }
}

TEST_CASE("code is given as hex digits in any grouping") {
  std::vector<u8> expected = {0x48, 0x89, 0xe5};
  CHECK(parse_code({"48", "89", "e5"}) == expected);
  CHECK(parse_code({"4889E5"}) == expected);
  CHECK(parse_code({"48 89,e5"}) == expected);
  CHECK_FALSE(parse_code({}));
  CHECK_FALSE(parse_code({""}));
  CHECK_FALSE(parse_code({"4"}));
  CHECK_FALSE(parse_code({"4x"}));
}

}  // namespace penumbra::cli

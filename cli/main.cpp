#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <new>
#include <string>
#include <vector>

#include "cli/listing_commands.h"
#include "cli/run.h"
#include "cli/run_options.h"
#include "common/log.h"

namespace penumbra::cli {

namespace {

struct Entry {
  const Command& (*command)();
  int (*start)(const Arguments&);
};
constexpr Entry kCommands[] = {
    {run_command, run_machine}, {disasm_command, disassemble}, {dump_command, dump}};

std::string overview() {
  std::string text = "usage: penumbra COMMAND [OPTION...]\n\nCommands:\n";
  for (const Entry& entry : kCommands) {
    text += fmt::format("  {:<10}{}\n", entry.command().name, entry.command().summary);
  }
  return text + "\n`penumbra COMMAND --help` lists a command's options.\n";
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kCommands) names.emplace_back(entry.command().name);
  return names;
}

int refuse(const std::string& line) {
  log_line(line);
  return Status::kBadInput;
}

int start(const Entry& entry, const std::vector<std::string>& words) {
  auto arguments = parse_arguments(entry.command(), words);
  if (!arguments) return refuse(arguments.error());
  if (arguments->has("help")) {
    fmt::print("{}", help_text(entry.command()));
    return Status::kSuccess;
  }
  return entry.start(*arguments);
}

/// Closed standard descriptors would be taken by the first files that are opened.
void keep_standard_descriptors() {
  int descriptor = -1;
  do {
    descriptor = ::open("/dev/null", O_RDWR);
  } while (descriptor >= 0 && descriptor <= 2);
  if (descriptor > 2) ::close(descriptor);
}

int main(const std::vector<std::string>& words) {
  if (words.empty()) return refuse("no command; try 'penumbra run --help'");
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    fmt::print("{}", overview());
    return Status::kSuccess;
  }
  for (const Entry& entry : kCommands) {
    if (words[0] == entry.command().name) return start(entry, {words.begin() + 1, words.end()});
  }
  return refuse(
      fmt::format("unknown command '{}'{}", words[0], did_you_mean(words[0], command_names())));
}

}  // namespace

}  // namespace penumbra::cli

int main(int argc, char** argv) {
  penumbra::cli::keep_standard_descriptors();
  try {
    return penumbra::cli::main({argv + 1, argv + argc});
  } catch (const std::bad_alloc&) {
    penumbra::log_line("out of memory");
    return penumbra::cli::Status::kBadInput;
  }
}

#include "cli/option_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>

namespace penumbra::cli {

namespace {

namespace po = boost::program_options;

constexpr size_t kHelpColumn = 34;
constexpr const char* kPositional = "(positional)";  ///< nobody types this

/// Edit distance in which swapping two neighbours costs one (Damerau).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      size_t change = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

po::options_description described(const Command& command) {
  po::options_description description;
  for (const Option& option : command.options) {
    if (option.argument == nullptr) {
      description.add_options()(option.name, "");
    } else {
      description.add_options()(option.name, po::value<std::string>(), "");
    }
  }
  description.add_options()("help", "")(kPositional, po::value<std::vector<std::string>>(), "");
  return description;
}

std::vector<std::string> option_names(const Command& command) {
  std::vector<std::string> names = {"help"};
  for (const Option& option : command.options) names.emplace_back(option.name);
  return names;
}

const Option* find(const Command& command, const std::string& name) {
  auto found = std::ranges::find_if(command.options,
                                    [&](const Option& option) { return name == option.name; });
  return found == command.options.end() ? nullptr : &*found;
}

std::string bare(std::string name) {
  name.erase(0, name.find_first_not_of('-'));
  return name.substr(0, name.find('='));
}

std::string error_line(const Command& command, const po::error& error) {
  if (auto* unknown = dynamic_cast<const po::unknown_option*>(&error)) {
    std::string name = unknown->get_option_name();
    return fmt::format("unknown option '{}'{}", name,
                       did_you_mean(bare(name), option_names(command), "--"));
  }
  return error.what();
}

std::expected<Arguments, std::string> collect(const Command& command,
                                              const std::vector<po::option>& parsed) {
  Arguments arguments;
  for (const po::option& option : parsed) {
    if (option.string_key == kPositional) {
      if (command.positional == nullptr) {
        return std::unexpected(fmt::format(
            "unexpected argument '{}'; every value belongs to an option", option.value.front()));
      }
      for (const std::string& word : option.value) arguments.add_positional(word);
      continue;
    }
    const Option* known = find(command, option.string_key);
    bool again = arguments.has(option.string_key);
    if (known != nullptr && again && known->repeat == Option::Repeat::Once) {
      return std::unexpected(fmt::format("--{} is given twice", known->name));
    }
    arguments.add(option.string_key, option.value);
  }
  return arguments;
}

void append_option(std::string& text, const Option& option) {
  std::string left = fmt::format("  --{}", option.name);
  if (option.argument != nullptr) left += fmt::format(" {}", option.argument);
  std::string_view help = option.help;
  if (left.size() >= kHelpColumn) {
    text += left + "\n";
    left.clear();
  }
  while (true) {
    size_t end = help.find('\n');
    text += fmt::format("{:<{}}{}\n", left, kHelpColumn, help.substr(0, end));
    if (end == std::string_view::npos) return;
    help.remove_prefix(end + 1);
    left.clear();
  }
}

}  // namespace

std::optional<std::string> Arguments::value(const std::string& name) const {
  auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.front();
}

std::vector<std::string> Arguments::values(const std::string& name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

void Arguments::add(const std::string& name, std::vector<std::string> values) {
  auto& all = values_[name];
  all.insert(all.end(), values.begin(), values.end());
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known,
                         const std::string& prefix) {
  std::string best;
  size_t least = 1 + std::max<size_t>(1, word.size() / 3);
  for (const std::string& candidate : known) {
    bool begins = word.size() >= 3 && candidate.starts_with(word);
    size_t cost = begins ? 0 : distance(word, candidate);
    if (cost >= least) continue;
    least = cost;
    best = candidate;
  }
  return best.empty() ? "" : fmt::format("; did you mean {}{}?", prefix, best);
}

std::expected<Arguments, std::string> parse_arguments(const Command& command,
                                                      const std::vector<std::string>& words) {
  using namespace po::command_line_style;
  try {
    po::options_description description = described(command);
    po::positional_options_description positional;
    positional.add(kPositional, -1);
    auto parsed = po::command_line_parser(words)
                      .options(description)
                      .positional(positional)
                      .style(allow_long | long_allow_adjacent | long_allow_next)
                      .run();
    return collect(command, parsed.options);
  } catch (const po::error& error) {
    return std::unexpected(error_line(command, error));
  }
}

std::string help_text(const Command& command) {
  std::string text =
      fmt::format("usage: penumbra {} [OPTION...]{}{}\n\n{}\n", command.name,
                  command.positional != nullptr ? " " : "",
                  command.positional != nullptr ? command.positional : "", command.summary);
  std::string_view group;
  for (const Option& option : command.options) {
    if (group != option.group) {
      group = option.group;
      text += fmt::format("\n{}:\n", group);
    }
    append_option(text, option);
  }
  return text + fmt::format("\nExamples:\n{}\n", command.examples);
}

}  // namespace penumbra::cli

#include "cli/run_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "machine/board.h"
#include "machine/memory_map.h"

namespace penumbra::cli {

namespace {

constexpr auto kMany = Option::Repeat::Many;

constexpr Option kRunOptions[] = {
    {"Guest", "kernel", "FILE", "Linux kernel: bzImage, or vmlinux (ELF)"},
    {"Guest", "initrd", "FILE", "initial RAM disk for the kernel"},
    {"Guest", "append", "TEXT", "the kernel's command line"},
    {"Guest", "restore", "FILE", "go on from a snapshot instead of booting a kernel"},

    {"Machine", "memory", "SIZE", "guest memory, e.g. 512M or 2G; plain numbers are MiB (512M)"},
    {"Machine", "cpus", "N", "number of CPUs; 1 so far"},
    {"Machine", "cpu", "MODEL[,-FEATURE]", "CPU model, e.g. default,-avx2"},
    {"Machine", "serial", "stdio|file:F|none",
     "COM1, the second time COM2, up to COM4\n(stdio; none leaves the port out)", kMany},
    {"Machine", "display", "none", "there is no display yet"},
    {"Machine", "debug-exit", nullptr, "port F4h: writing V ends the run with status V*2+1"},
    {"Machine", "debugcon", "FILE", "port E9h: bytes written there go to FILE"},
    {"Machine", "no-reboot", nullptr, "a guest that resets the machine ends the run"},

    {"Execution", "engine", "auto|interp|baseline|lockstep",
     "how guest code is run: the fastest way (auto), interpreted, by\ncode generated for it, or "
     "both "
     "ways at once and compared"},
    {"Execution", "engine-seed", "N", "vary what the engine may choose, and lockstep's slices"},
    {"Execution", "lockstep-share", "WINDOW/PERIOD",
     "lockstep: of each PERIOD instructions compare only WINDOW,\ne.g. 50M/1G"},
    {"Execution", "clock", "host", "guest time is the host's time (the default)"},
    {"Execution", "deterministic", nullptr,
     "1 instruction = 1 ns, idle time is skipped:\nequal inputs give equal runs"},
    {"Execution", "max-instructions", "N", "stop after N instructions (k, M, G are thousands ...)"},

    {"Snapshots", "save", "FILE", "write a snapshot when --save-when says"},
    {"Snapshots", "save-when", "serial:TEXT|instructions:N",
     "when the guest has printed TEXT on COM1,\nor has run N instructions"},
    {"Snapshots", "exit-after-save", nullptr, "end the run once the snapshot is written"},

    {"Observation", "stats", "FILE", "write counters at the end: JSON to FILE, or a table (-)"},
    {"Observation", "trace", "exec:FILE",
     "one line an instruction: address, code, and\nthe registers that it changed"},
    {"Observation", "perf-map", nullptr,
     "name generated code for perf on this host: /tmp/perf-PID.map"},
    {"Observation", "gdb-jit", nullptr,
     "name generated code for a gdb that is attached to penumbra"},
};

constexpr const char* kRunExamples =
    "  penumbra run --kernel vmlinuz --initrd initrd.cpio --append console=ttyS0\n"
    "  penumbra run --kernel vmlinuz --deterministic --save boot.snap \\\n"
    "      --save-when serial:login: --exit-after-save\n"
    "  penumbra run --restore boot.snap\n"
    "\n"
    "In a terminal, Ctrl-A x quits and Ctrl-A h lists the other keys.\n"
    "\n"
    "Exit status:\n"
    "  0  the guest powered off, or reset with --no-reboot; quit by key; snapshot written\n"
    "  1  --engine lockstep found a difference\n"
    "  2  bad option or file\n"
    "  3  triple fault\n"
    "  4  --max-instructions reached\n"
    "  5  the guest halted and nothing can wake it\n"
    "  V*2+1 by --debug-exit; 128+N by signal N";

constexpr Command kRun = {"run", nullptr, "Runs a machine.", kRunOptions, kRunExamples};

std::unexpected<std::string> bad(const char* option, const std::string& what) {
  return std::unexpected(fmt::format("--{}: {}", option, what));
}

/// An option that so far has one value.
std::expected<void, std::string> only(const Arguments& arguments, const char* name,
                                      const std::string& allowed) {
  auto value = arguments.value(name);
  if (!value || *value == allowed) return {};
  return bad(name, fmt::format("'{}' is not available; only '{}' is", *value, allowed));
}

std::expected<SerialOption, std::string> parse_serial(const std::string& text) {
  if (text == "stdio") return SerialOption{SerialOption::Kind::Stdio, {}};
  if (text == "none") return SerialOption{SerialOption::Kind::None, {}};
  if (text.starts_with("file:") && text.size() > 5) {
    return SerialOption{SerialOption::Kind::File, text.substr(5)};
  }
  return bad("serial", fmt::format("'{}' is neither stdio, file:NAME nor none{}", text,
                                   did_you_mean(text, {"stdio", "none"})));
}

std::expected<void, std::string> parse_serials(const Arguments& arguments, RunOptions& options) {
  size_t stdio = 0;
  options.serial_given = arguments.has("serial");
  for (const std::string& text : arguments.values("serial")) {
    auto serial = parse_serial(text);
    if (!serial) return std::unexpected(serial.error());
    stdio += serial->kind == SerialOption::Kind::Stdio;
    options.serial.push_back(*serial);
  }
  if (!options.serial_given) options.serial = {{SerialOption::Kind::Stdio, {}}};
  if (stdio > 1) return bad("serial", "only one port can be stdio");
  if (options.serial.size() > machine::BoardConfig::kSerialPorts) {
    return bad("serial", "a machine has at most four serial ports");
  }
  return {};
}

std::expected<void, std::string> parse_clock(const Arguments& arguments, RunOptions& options) {
  auto clock = arguments.value("clock");
  if (arguments.has("deterministic")) {
    if (clock) return bad("clock", "does not go together with --deterministic");
    options.deterministic = true;
  } else if (clock) {
    options.deterministic = false;
  }
  return only(arguments, "clock", "host");
}

/// WINDOW/PERIOD.
std::expected<LockstepOption, std::string> parse_share(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == std::string::npos) return bad("lockstep-share", "write e.g. 50M/1G");
  auto window = parse_count(text.substr(0, slash)), period = parse_count(text.substr(slash + 1));
  if (!window) return bad("lockstep-share", window.error());
  if (!period) return bad("lockstep-share", period.error());
  if (*window == 0 || *window > *period) {
    return bad("lockstep-share", "the window is empty or longer than the period");
  }
  return LockstepOption{*window, *period - *window};
}

std::expected<void, std::string> parse_engine(const Arguments& arguments, RunOptions& options) {
  using machine::EngineKind;
  constexpr std::pair<const char*, EngineKind> kEngines[] = {{"auto", EngineKind::Auto},
                                                             {"interp", EngineKind::Interp},
                                                             {"baseline", EngineKind::Baseline},
                                                             {"lockstep", EngineKind::Baseline}};
  if (auto seed = arguments.value("engine-seed")) {
    auto number = parse_count(*seed);
    if (!number) return bad("engine-seed", number.error());
    options.engine_seed = *number;
  }
  std::string name = arguments.value("engine").value_or("auto");
  auto known = std::ranges::find(kEngines, name, [](const auto& engine) { return engine.first; });
  if (known != std::end(kEngines)) {
    options.engine = known->second;
    return {};
  }
  std::vector<std::string> names;
  for (const auto& engine : kEngines) names.emplace_back(engine.first);
  return bad("engine", fmt::format("'{}' is none of {}{}", name, fmt::join(names, ", "),
                                   did_you_mean(name, names)));
}

/// Lockstep compares machines whose clocks count instructions.
std::expected<void, std::string> parse_lockstep(const Arguments& arguments, RunOptions& options) {
  auto share = arguments.value("lockstep-share");
  if (arguments.value("engine") != "lockstep") {
    if (share) return bad("lockstep-share", "needs --engine lockstep");
    return {};
  }
  for (const char* name : {"clock", "save", "trace", "perf-map", "gdb-jit"}) {
    if (arguments.has(name)) return bad(name, "does not go together with --engine lockstep");
  }
  options.deterministic = true;
  options.lockstep = LockstepOption();
  if (!share) return {};
  auto parsed = parse_share(*share);
  if (!parsed) return std::unexpected(parsed.error());
  options.lockstep = *parsed;
  return {};
}

std::expected<void, std::string> parse_save(const Arguments& arguments, RunOptions& options) {
  auto path = arguments.value("save"), when = arguments.value("save-when");
  if (path && !when) return bad("save", "needs --save-when serial:TEXT or instructions:N");
  if (!path && when) return bad("save-when", "needs --save FILE");
  if (!path && arguments.has("exit-after-save")) return bad("exit-after-save", "needs --save FILE");
  if (!path) return {};
  SaveOption save{*path, {}, {}, arguments.has("exit-after-save")};
  if (when->starts_with("serial:") && when->size() > 7) {
    save.serial_text = when->substr(7);
  } else if (when->starts_with("instructions:")) {
    auto count = parse_count(when->substr(13));
    if (!count) return bad("save-when", count.error());
    save.instructions = *count;
  } else {
    return bad("save-when", fmt::format("'{}' is neither serial:TEXT nor instructions:N", *when));
  }
  options.save = save;
  return {};
}

std::expected<void, std::string> parse_trace(const Arguments& arguments, RunOptions& options) {
  auto trace = arguments.value("trace");
  if (!trace) return {};
  if (!trace->starts_with("exec:") || trace->size() == 5) {
    return bad("trace", fmt::format("'{}' is not exec:FILE", *trace));
  }
  options.trace = trace->substr(5);
  return {};
}

std::expected<void, std::string> parse_numbers(const Arguments& arguments, RunOptions& options) {
  if (auto text = arguments.value("memory")) {
    auto memory = machine::parse_memory_size(*text);
    if (!memory) return bad("memory", memory.error());
    options.memory = *memory;
  }
  if (auto text = arguments.value("cpus"); text && *text != "1") {
    auto count = parse_count(*text);
    if (!count || *count == 0)
      return bad("cpus", fmt::format("'{}' is not a number of CPUs", *text));
    return bad("cpus", fmt::format("{} CPUs are not supported; only 1 is so far", *text));
  }
  if (auto text = arguments.value("max-instructions")) {
    auto count = parse_count(*text);
    if (!count) return bad("max-instructions", count.error());
    options.max_instructions = *count;
  }
  return {};
}

std::expected<void, std::string> check_source(const RunOptions& options,
                                              const Arguments& arguments) {
  if (!options.kernel && !options.restore) {
    return std::unexpected("nothing to run: give --kernel FILE or --restore FILE (see --help)");
  }
  if (!options.restore) return {};
  for (const char* name : {"kernel", "initrd", "append"}) {
    if (arguments.has(name)) return bad(name, "does not go together with --restore");
  }
  return {};
}

}  // namespace

const Command& run_command() { return kRun; }

std::expected<u64, std::string> parse_count(const std::string& text) {
  u64 number = 0, count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view suffix(end, text.data() + text.size());
  u64 unit = suffix.empty()  ? 1
             : suffix == "k" ? 1'000
             : suffix == "M" ? 1'000'000
             : suffix == "G" ? 1'000'000'000
                             : 0;
  if (error != std::errc() || unit == 0 || __builtin_mul_overflow(number, unit, &count)) {
    return std::unexpected(fmt::format("'{}' is not a number; write 2000000 or 2M", text));
  }
  return count;
}

std::expected<RunOptions, std::string> parse_run_options(const Arguments& arguments) {
  RunOptions options;
  options.kernel = arguments.value("kernel");
  options.initrd = arguments.value("initrd");
  options.append = arguments.value("append").value_or("");
  options.restore = arguments.value("restore");
  options.cpu = arguments.value("cpu");
  options.debug_exit = arguments.has("debug-exit");
  options.debug_console = arguments.value("debugcon");
  options.reboot = !arguments.has("no-reboot");
  options.stats = arguments.value("stats");
  options.perf_map = arguments.has("perf-map");
  options.gdb_jit = arguments.has("gdb-jit");
  for (auto parse : {parse_serials, parse_clock, parse_engine, parse_lockstep, parse_save,
                     parse_trace, parse_numbers}) {
    if (auto parsed = parse(arguments, options); !parsed) return std::unexpected(parsed.error());
  }
  if (auto display = only(arguments, "display", "none"); !display) {
    return std::unexpected(display.error());
  }
  if (auto source = check_source(options, arguments); !source) {
    return std::unexpected(source.error());
  }
  return options;
}

}  // namespace penumbra::cli

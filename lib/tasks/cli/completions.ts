/**
 * Scripts that complete command lines in a shell, written from the definition of a commander program, so that they
 * know what the program knows. They ask nobody at the press of Tab: no process starts, no server is needed.
 */

import type { Command, Option } from "commander";

/** The shells a script can be had for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Flag {
  /** `--wait`; a short form first, where there is one. */
  names: string[];
  description: string;
  takesValue: boolean;
  values: readonly string[];
}

interface CommandWords {
  /** The name and its aliases. */
  names: string[];
  description: string;
  /** Those that only this command has. */
  flags: Flag[];
  /** For each argument its name and the words it can be; none where it is free text. */
  arguments: { name: string; values: readonly string[] }[];
}

interface ProgramWords {
  name: string;
  /** Those that may stand anywhere. */
  flags: Flag[];
  commands: CommandWords[];
}

/**
 * The completion script of a program.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Command } from "commander";
 * const program = new Command("greet");
 * program.command("hello").option("--loud", "shout");
 * assert.match(completionScript("bash", program), /complete -F _greet greet\n$/);
 * assert.match(completionScript("fish", program), /-l loud -d 'shout'/);
 * ```
 */
export function completionScript(shell: Shell, program: Command): string {
  const words = wordsOf(program);
  const write = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return `# ${shell} completion for ${words.name}\n${write(words)}`;
}

function wordsOf(program: Command): ProgramWords {
  const help = program.createHelp();
  const flags = help.visibleOptions(program).map(flagOf);
  const isCommon = (flag: Flag) => flags.some(({ names }) => names.at(-1) === flag.names.at(-1));
  return {
    name: program.name(),
    flags,
    commands: help.visibleCommands(program).map((command) => ({
      names: [command.name(), ...command.aliases()],
      description: command.summary() || command.description(),
      flags: help.visibleOptions(command).map(flagOf).filter((flag) => !isCommon(flag)),
      arguments: command.registeredArguments.map((argument) => ({
        name: argument.name(),
        values: argument.argChoices ?? [],
      })),
    })),
  };
}

function flagOf(option: Option): Flag {
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    takesValue: option.required || option.optional,
    values: option.argChoices ?? [],
  };
}

function bashScript({ name, flags, commands }: ProgramWords): string {
  const identifier = `_${name.replace(/\W/g, "_")}`;
  const all = [...flags, ...commands.flatMap((command) => command.flags)];
  const valueFlags = all.filter((flag) => flag.takesValue).flatMap((flag) => flag.names).join("|");
  const names = (list: Flag[]) => list.flatMap((flag) => flag.names).join(" ");
  const flagCases = commands.filter((command) => command.flags.length > 0).map((command) =>
    `      ${command.names.join("|")}) candidates+=${quoted(` ${names(command.flags)}`)} ;;`
  );
  const wordCases = commands.flatMap((command) =>
    command.arguments.flatMap(({ values }, place) => {
      const patterns = command.names.map((word) => `${word}:${place}`).join("|");
      return values.length === 0 ? [] : [`      ${patterns}) candidates=${quoted(values.join(" "))} ;;`];
    })
  );
  // bash takes the = of --host=name for a word of its own
  return `${identifier}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} candidates= command= place=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${valueFlags}) if [[ \${COMP_WORDS[i+1]} == = ]]; then ((i += 2)); else ((i += 1)); fi ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((place += 1)); fi ;;
    esac
  done
  case $previous in
    =|${valueFlags}) return ;;
  esac
  if [[ $current == -* ]]; then
    candidates=${quoted(names(flags))}
    case $command in
${flagCases.join("\n")}
    esac
  else
    case $command:$place in
      :0) candidates=${quoted(commands.map((command) => command.names[0]).join(" "))} ;;
${wordCases.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}
complete -F ${identifier} ${name}
`;
}

function zshScript({ name, flags, commands }: ProgramWords): string {
  const among = (values: readonly string[]) => values.length > 0 ? `(${values.join(" ")})` : "";
  const specs = (list: Flag[]) =>
    list.flatMap((flag) =>
      flag.names.map((word) => {
        const value = flag.takesValue ? `:value:${among(flag.values)}` : "";
        return quoted(`${word}[${flag.description.replace(/[\\[\]]/g, "\\$&")}]${value}`);
      })
    );
  const cases = commands.map((command) => {
    const places = command.arguments.map(({ name, values }, i) =>
      quoted(`${i + 1}:${name}:${among(values)}`)
    );
    return `        ${command.names.join("|")}) _arguments ${
      ["$common", ...specs(command.flags), ...places].join(" ")
    } ;;`;
  });
  const described = commands.map((command) =>
    quoted(`${command.names[0]}:${command.description.replace(/[\\:]/g, "\\$&")}`)
  );
  return `_${name}() {
  local state line
  local -a commands common
  common=(
    ${specs(flags).join("\n    ")}
  )
  _arguments -C $common '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      commands=(
        ${described.join("\n        ")}
      )
      _describe command commands
      ;;
    argument)
      case $line[1] in
${cases.join("\n")}
      esac
      ;;
  esac
}
compdef _${name} ${name}
`;
}

function fishScript({ name, flags, commands }: ProgramWords): string {
  const seen = (words: readonly string[]) => `__fish_seen_subcommand_from ${words.join(" ")}`;
  const add = (condition: string, ...words: string[]) =>
    [`complete -c ${name}`, ...(condition ? [`-n ${quoted(condition)}`] : []), ...words].join(" ");
  const flagWords = (flag: Flag) => [
    ...flag.names.map((word) => word.startsWith("--") ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`),
    ...(flag.takesValue
      ? ["-x", ...(flag.values.length > 0 ? [`-a ${quoted(flag.values.join(" "))}`] : [])]
      : []),
    `-d ${quoted(flag.description)}`,
  ];
  const noCommandYet = `not ${seen(commands.flatMap(({ names }) => names))}`;
  return [
    add("", "-e"),
    add("", "-f"),
    ...flags.map((flag) => add("", ...flagWords(flag))),
    ...commands.map(({ names, description }) =>
      add(noCommandYet, `-a ${names[0]}`, `-d ${quoted(description)}`)
    ),
    ...commands.flatMap((command) => [
      ...command.flags.map((flag) => add(seen(command.names), ...flagWords(flag))),
      ...command.arguments.filter(({ values }) => values.length > 0).map(({ values }) =>
        add(`${seen(command.names)}; and not ${seen(values)}`, `-a ${quoted(values.join(" "))}`)
      ),
    ]),
    "",
  ].join("\n");
}

/** A text as one word of the shell; all three read single quotes alike, but for a quote within. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

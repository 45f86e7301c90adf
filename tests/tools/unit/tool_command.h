/* Commands of the tool, called as from a command line. */
#ifndef TESTS_TOOLS_UNIT_TOOL_COMMAND_H
#define TESTS_TOOLS_UNIT_TOOL_COMMAND_H

#include "tests/tools/unit/tool_test.h"

#include "tools/command.h"

/* Runs a command line, of which words[0] is the command's name; NULL ends it. stdout goes into `output`, stderr into
 * `errors`. Returns the exit code. */
static inline int tool_call(char **words, char *output, size_t output_size, char *errors, size_t error_size) {
  int count = 0, code = -1;
  FILE *err, *out = tmpfile();
  while (words[count]) count++;
  fflush(stdout);
  const int saved_out = dup(STDOUT_FILENO), saved = tool_test_mute(&err);
  dup2(fileno(out), STDOUT_FILENO);
  const command *command = command_find(words[0]);
  struct common_settings *settings = command ? settings_parse(command, count, words, &code) : NULL;
  if (settings) code = command->run(settings);
  settings_free(settings);
  fflush(stdout);
  dup2(saved_out, STDOUT_FILENO);
  close(saved_out);
  tool_test_unmute(saved, err, errors, error_size);
  rewind(out);
  output[fread(output, 1, output_size - 1, out)] = '\0';
  fclose(out);
  return code;
}

#endif

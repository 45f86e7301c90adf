/* Completion of command lines by bash and zsh, from the tables that the parser reads. */
#ifndef TOOLS_COMPLETION_H
#define TOOLS_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

/* The script of that shell, "bash" or "zsh"; false: there is none of that name. */
bool completion_print(FILE *file, const char *shell);

#endif

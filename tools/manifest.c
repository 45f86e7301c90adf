#include "tools/manifest.h"

#include "tools/formats/input_file.h"
#include "tools/option_values.h"
#include "tools/report.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

typedef struct manifest_line {
  const char *glob;
  tolerance tolerance;
} manifest_line;

bool path_matches(const char *glob, const char *path) {
  if (fnmatch(glob, path, 0) == 0) return true;
  for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
    if (fnmatch(glob, slash + 1, 0) == 0) return true;
  }
  return false;
}

static bool parse_setting(char *setting, tolerance *result) {
  char *value = strchr(setting, '=');
  if (!value) return false;
  *value++ = '\0';
  if (strcmp(setting, "rtol") == 0) return parse_tolerance(value, &result->rtol);
  if (strcmp(setting, "atol") == 0) return parse_tolerance(value, &result->atol);
  if (strcmp(setting, "min") == 0) return parse_tolerance(value, &result->min);
  if (strcmp(setting, "max") == 0) {
    result->rule = COMPARE_MAX;
    return parse_tolerance(value, &result->max);
  }
  if (strcmp(setting, "compare") == 0) {
    static const char *const names[] = {"top1", "cosine", "domain"};
    for (int i = 0; i < 3; i++) {
      if (strcmp(value, names[i]) == 0) {
        result->rule = (compare_rule)(COMPARE_TOP1 + i);
        return true;
      }
    }
  }
  return false;
}

/* Reads one line; one without a glob leaves line->glob NULL. */
static bool parse_line(char *text, manifest_line *line, const tolerance *otherwise, const char **wrong) {
  char *rest = NULL, *comment = strchr(text, '#');
  if (comment) *comment = '\0';
  *line = (manifest_line){.glob = strtok_r(text, " \t\r", &rest), .tolerance = *otherwise};
  if (!line->glob) return true;
  for (char *setting = strtok_r(NULL, " \t\r", &rest); setting; setting = strtok_r(NULL, " \t\r", &rest)) {
    *wrong = setting;
    if (!parse_setting(setting, &line->tolerance)) return false;
  }
  return true;
}

bool manifest_load(manifest *manifest, const char *path, const tolerance *otherwise) {
  file_contents file;
  size_t number = 0;
  norma_error error;
  bool good = false;
  *manifest = (struct manifest){0};
  if (file_read(NULL, path, &file, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    goto done;
  }
  size_t lines = 1;
  for (size_t i = 0; i < file.size; i++) lines += file.bytes[i] == '\n';
  manifest->text = malloc(file.size + 1);
  manifest->lines = calloc(lines, sizeof *manifest->lines);
  if (!manifest->text || !manifest->lines) {
    tool_error("%s: out of memory", path);
    goto done;
  }
  memcpy(manifest->text, file.bytes, file.size + 1);
  good = true;
  for (char *text = manifest->text; text && good;) {
    char *end = strchr(text, '\n');
    const char *wrong = "";
    manifest_line line;
    if (end) *end = '\0';
    number++;
    good = parse_line(text, &line, otherwise, &wrong);
    if (!good) {
      tool_error("%s:%zu: '%s' is no setting; expected rtol=X, atol=X, max=X, compare=top1|cosine|domain or min=X",
                 path, number, wrong);
    } else if (line.glob) {
      manifest->lines[manifest->count++] = line;
    }
    text = end ? end + 1 : NULL;
  }

done:
  file_contents_free(&file);
  return good;
}

void manifest_free(manifest *manifest) {
  free(manifest->text);
  free(manifest->lines);
  *manifest = (struct manifest){0};
}

tolerance manifest_find(const manifest *manifest, const char *path, const tolerance *otherwise) {
  for (size_t i = manifest->count; i-- > 0;) {
    if (path_matches(manifest->lines[i].glob, path)) return manifest->lines[i].tolerance;
  }
  return *otherwise;
}

/* norma compile: a model as C source, for programs that read no files and take no memory. */
#include "tools/command.h"
#include "tools/formats/output_file.h"
#include "tools/inputs.h"
#include "tools/model_file.h"
#include "tools/report.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct compile_settings {
  struct common_settings common;
  struct input_settings inputs; /* the shapes alone are asked for */
  const char *folder, *name, *kernels;
};

/* The most memory that was held at a time, counted as a pool would hold it. */
typedef struct held_memory {
  size_t now, most;
} held_memory;

static void *held_allocate(void *context, size_t size, size_t alignment) {
  held_memory *held = context;
  void *block = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (block) held->now += size + alignment;
  if (held->now > held->most) held->most = held->now;
  return block;
}

static void held_deallocate(void *context, void *pointer, size_t size) {
  held_memory *held = context;
  held->now -= size + 64;
  free(pointer);
}

static bool write_to_file(void *file, const void *bytes, size_t count) {
  return fwrite(bytes, 1, count, file) == count;
}

/* The name in C: as it is given, or that of the model's file, or of its folder where that is called model.onnx. */
static bool choose_name(const struct compile_settings *settings, char *name, size_t size) {
  const char *path = settings->common.arguments[0], *last = strrchr(path, '/');
  const char *begin = last ? last + 1 : path, *end = strchr(begin, '.');
  if (settings->name) {
    snprintf(name, size, "%s", settings->name);
    return true;
  }
  if (last && strncmp(begin, "model.", 6) == 0) {
    end = last;
    for (begin = last; begin > path && begin[-1] != '/'; begin--) continue;
  }
  size_t used = 0;
  for (const char *c = begin; *c && c != end && used + 1 < size; c++) {
    name[used++] = isalnum((unsigned char)*c) ? *c : '_';
  }
  name[used] = '\0';
  if (used > 0 && !isdigit((unsigned char)name[0])) return true;
  tool_error("no name for C can be made of '%s': give --name", path);
  return false;
}

static bool write_part(output_group *files, const struct compile_settings *settings, const norma_session *session,
                       const char *name, norma_source_part part, size_t spare_bytes) {
  static const char *const ends[] = {".c", ".h", "_main.c"};
  const norma_source_options options = {
      .struct_size = sizeof options, .part = part, .name = name, .spare_bytes = spare_bytes};
  const size_t room = strlen(settings->folder) + strlen(name) + 16;
  char *path = malloc(room);
  norma_error error;
  if (!path) {
    tool_error("out of memory");
    return false;
  }
  snprintf(path, room, "%s/%s%s", settings->folder, name, ends[part]);
  FILE *file = output_open(files, path);
  free(path);
  if (!file) return false;
  if (norma_session_write_source(session, &options, write_to_file, file, &error) == NORMA_OK) return true;
  tool_library_error(settings->common.arguments[0], &error);
  return false;
}

static bool write_parts(const struct compile_settings *settings, const norma_session *session,
                        const norma_runtime *runtime, size_t spare_bytes) {
  char name[65];
  output_group files = {0};
  bool good = choose_name(settings, name, sizeof name) && output_make_folder(&files, settings->folder);
  for (norma_source_part part = NORMA_SOURCE_DATA; good && part <= NORMA_SOURCE_MAIN; part++) {
    good = write_part(&files, settings, session, name, part, spare_bytes);
  }
  good = good && output_commit(&files);
  output_discard(&files);
  if (good) {
    printf("%s/%s.c, %s.h, %s_main.c, for %s\n", settings->folder, name, name, name, norma_runtime_kernels(runtime));
  }
  return good;
}

/* One thread, and a table without overrides. */
static norma_runtime *create_plain_runtime(const struct compile_settings *settings, held_memory *held) {
  norma_runtime_options options = settings_runtime(&settings->common);
  norma_kernel_table_info table = {.struct_size = sizeof table};
  norma_runtime *runtime = NULL;
  norma_error error;
  char name[64];
  for (size_t i = 0; !settings->kernels && norma_kernel_table(i, &table) == NORMA_OK && !table.is_default; i++)
    continue;
  snprintf(name, sizeof name, "%s:plain", settings->kernels ? settings->kernels : table.name);
  options.allocator = (norma_allocator){held_allocate, held_deallocate, held};
  options.threads = 1;
  options.kernels = name;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) tool_library_error(NULL, &error);
  return runtime;
}

static int compile(const void *given) {
  const struct compile_settings *settings = given;
  held_memory held = {0, 0};
  norma_runtime *runtime = create_plain_runtime(settings, &held);
  norma_model *model = NULL;
  norma_session *session = NULL;
  input_set inputs = {.count = 0};
  model_file file = {0};
  norma_error error;
  int code = EXIT_REFUSED;
  if (!settings->folder) {
    tool_error("compile: where to? give -o DIR");
    goto done;
  }
  if (!runtime || !model_file_open(&file, settings->common.arguments[0], runtime)) goto done;
  const norma_load_options options = settings_load(&settings->common, runtime, -1);
  norma_status status = model_file_load(&file, &options, &model, &error);
  if (status == NORMA_OK && !inputs_check_shapes(&settings->inputs, model)) goto done;
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  if (status == NORMA_OK) {
    if (!inputs_collect(&inputs, &settings->inputs, runtime, model, FILL_ZEROS) || !inputs_bind(&inputs, session)) {
      goto done;
    }
    status = norma_session_run(session, &error); /* the arena and all else is there now */
    if (status == NORMA_OK) {
      held.most = held.now;
      status = norma_session_run(session, &error);
    }
  }
  if (status != NORMA_OK) {
    code = tool_library_error(file.path, &error);
  } else if (write_parts(settings, session, runtime, held.most - held.now)) {
    code = EXIT_YES;
  }

done:
  norma_session_destroy(session);
  inputs_free(&inputs);
  norma_model_destroy(model);
  model_file_close(&file);
  norma_runtime_destroy(runtime);
  return code;
}

static const command_option options[] = {
    {&(const tool_option){NULL, 'o', "DIR", "write into DIR, which is made if need be", NULL, take_text},
     offsetof(struct compile_settings, folder)},
    {&(const tool_option){"name", 0, "NAME", "the name in C (default: that of the file)", NULL, take_text},
     offsetof(struct compile_settings, name)},
    {&(const tool_option){"kernels", 0, "TABLE",
                          "compile for these kernels, which this machine must run (default: its best)", NULL,
                          take_text},
     offsetof(struct compile_settings, kernels)},
    {&shared_options[SHARED_SHAPE], offsetof(struct compile_settings, inputs.shapes)},
    {NULL, 0},
};

const command command_compile = {
    .name = "compile",
    .synopsis = "MODEL -o DIR [--name NAME] [--kernels TABLE] [--shape NAME=DIMS]...",
    .summary = "write a model as C source",
    .text = "Writes NAME.c (plan, packed weights and memory, all of fixed size), NAME.h (what a program calls) and "
            "NAME_main.c (a program to try it with). They are built with the library, or with its one C file "
            "(-DNORMA_ONE_FILE); the program then reads no file and allocates nothing. Shapes must be known: dynamic "
            "dimensions are 1 unless --shape says otherwise, and a node whose shapes depend on data is refused.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct compile_settings),
    .defaults = &(const struct compile_settings){.inputs = INPUT_DEFAULTS},
    .run = compile,
};

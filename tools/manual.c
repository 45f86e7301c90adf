#include "tools/manual.h"

#include "engine/norma.h"
#include "tools/bn/bn_ranks.h"
#include "tools/formats/picture.h"

#include <string.h>

static const manual_option options[] = {
    {OPTION_THREADS, 't', "threads", "N",
     "threads that compute, this one included (default: the CPUs that this process may use)"},
    {OPTION_LEVEL, 'O', NULL, "LEVEL",
     "how much the graph is rewritten: 0 runs it exactly as exported, 1 folds constants and removes what does nothing, "
     "2 "
     "fuses operators as well (default: 2)"},
    {OPTION_DISABLE, 0, "disable", "PASS,...", "leave out these passes"},
    {OPTION_EXACT, 0, "exact", NULL,
     "only what rounds as -O 0 does: no Winograd, no channel blocks, no scale goes into weights; slower"},
    {OPTION_MAX_MEMORY, 0, "max-memory", "SIZE", "budget for all memory, such as 512MiB or 2GiB (default: no limit)"},
    {OPTION_TIMEOUT, 0, "timeout", "TIME",
     "end a run that takes longer, such as 5s, 100ms or 2min (default: no limit; for test 60s for each test)"},
    {OPTION_QUIET, 0, "quiet", NULL, "no progress and no warnings"},
    {OPTION_HELP, 'h', "help", NULL, "print this and exit"},
    {OPTION_VERSION, 0, "version", NULL, "print the version and what the build contains, and exit"},
    {OPTION_INPUT, 'i', "input", "[NAME=]FILE",
     "read an input from FILE; without a name, the next input in graph order. FILE is .npy, .npz, .pb (TensorProto, "
     "SequenceProto or OptionalProto) or a picture, which is resized to the input's height and width"},
    {OPTION_FILL, 0, "fill", "HOW",
     "make inputs that no -i gives: random (floats normal, integers 0 to 9), zeros or ones; dynamic dimensions are 1 "
     "unless --shape says otherwise"},
    {OPTION_SEED, 0, "seed", "N", "seed of --fill random (default: 1)"},
    {OPTION_SHAPE, 0, "shape", "NAME=DIMS", "shape of an input made by --fill, such as data=1x3x224x224"},
    {OPTION_OUTPUT_FOLDER, 'o', NULL, "DIR",
     "write output_0.npy, output_1.npy, ... into DIR, which is made if need be; .pb for what .npy cannot hold"},
    {OPTION_DUMP, 0, "dump", "NAME|all", "print this value inside the graph too; with -o, write it as value_NAME.npy"},
    {OPTION_TOP, 0, "top", "K", "print the K largest elements of the first output, a line each: class and probability"},
    {OPTION_PROFILE, 0, "profile", "FILE.json",
     "measure each node, print tables by node and by operator, and write a trace that Perfetto and Chrome open"},
    {OPTION_JSON, 0, "json", NULL, "print one JSON object"},
    {OPTION_DOT, 0, "dot", "FILE", "write the graph for Graphviz"},
    {OPTION_RTOL, 0, "rtol", "X", "relative tolerance: |a - b| <= atol + rtol * |b|"},
    {OPTION_ATOL, 0, "atol", "X", "absolute tolerance"},
    {OPTION_MAX_ERROR, 0, "max", "X", "largest error over the largest magnitude of a tensor (default: 1e-4)"},
    {OPTION_MANIFEST, 0, "manifest", "FILE", "settings for single tests, see below"},
    {OPTION_FILTER, 0, "filter", "GLOB", "only tests whose path or folder name matches"},
    {OPTION_JOBS, 0, "jobs", "N", "tests that run at the same time (default: 1)"},
    {OPTION_VERBOSE, 0, "verbose", NULL, "a line for every test, skipped ones with their reason"},
    {OPTION_WARMUP, 0, "warmup", "N", "runs before the clock starts (default: 3)"},
    {OPTION_RUNS, 0, "runs", "N", "runs that are measured (default: as many as --duration allows, at least 10)"},
    {OPTION_DURATION, 0, "duration", "TIME", "measure for at least this time (default: 1s unless --runs is given)"},
    {OPTION_LEVELS, 0, "levels", "A,B", "the two levels to compare (default: 0,2; with two models -O for both)"},
    {OPTION_OUTPUT_FILE, 'o', NULL, "OUT", "write the model to OUT, whole or not at all; not the file that is read"},
    {OPTION_VERIFY, 0, "verify", NULL,
     "compare the new model's outputs with the old one's (random inputs unless -i gives them) before it gets its name"},
    {OPTION_DATA, 0, "data", "[NAME=]PATH...",
     "samples: .npy (the first axis counts them), .npz with an array per input, pictures, or a folder of these or of "
     "test_data_set_N; may be given several times; arrays are mapped and may be larger than memory"},
    {OPTION_METHOD, 0, "method", "HOW",
     "population (default): mean and variance of all samples; ema: the moving average of training, batch by batch"},
    {OPTION_MOMENTUM, 0, "momentum", "M",
     "of ema: running * M + batch * (1 - M), which is 1 minus PyTorch's (default: each node's attribute)"},
    {OPTION_EPOCHS, 0, "epochs", "N", "of ema: how often the data are gone through (default: 1)"},
    {OPTION_ORDER, 0, "order", "HOW",
     "sequential (default): each node sees the nodes before it on their new statistics; simultaneous: one pass, every "
     "node normalises by its batch"},
    {OPTION_BATCH, 0, "batch", "N", "samples of one run, where the model leaves that open (default: 32)"},
    {OPTION_ONLY, 0, "only", "GLOB", "only nodes whose name matches; may be given several times"},
    {OPTION_VARIANCE, 0, "variance", "HOW",
     "population (default) divides by N, as the operator does; sample by N - 1, as PyTorch stores it"},
    {OPTION_REPORT, 0, "report", "FILE.json",
     "write stored and measured statistics and their drift, channel by channel"},
    {OPTION_MOMENTS, 0, "moments", "FILE",
     "save the moments there every few seconds and go on from there when the file exists; without -o, measure one pass "
     "over this share of the data and stop"},
    {OPTION_FROM, 0, "from", "FILE", "begin with the moments of a finished share; several are merged exactly"},
    {OPTION_SKIP_BAD, 0, "skip-bad", NULL, "leave out samples that hold NaN or infinities instead of refusing them"},
    {OPTION_MEAN, 0, "mean", "M,...", "subtract this from the data, one number or one per channel, after --scale"},
    {OPTION_STD, 0, "std", "S,...", "divide the data by this, after --mean"},
    {OPTION_SCALE, 0, "scale", "X", "multiply the data by this first, such as 1/255 (the default for pictures)"},
    {OPTION_LAYOUT, 0, "layout", "ORDER", "nchw or nhwc: where channels stand (default: as the model's input says)"},
};

#define INPUT_OPTIONS OPTION_INPUT, OPTION_FILL, OPTION_SEED, OPTION_SHAPE

const option_id manual_common_options[] = {OPTION_THREADS,    OPTION_LEVEL,   OPTION_DISABLE, OPTION_EXACT,
                                           OPTION_MAX_MEMORY, OPTION_TIMEOUT, OPTION_QUIET,   OPTION_HELP,
                                           OPTION_VERSION,    OPTION_END};

const manual_command manual_commands[] = {
    {"run",
     "MODEL [-i [NAME=]FILE]... [--fill random|zeros|ones] [--seed N] [--shape NAME=1x3x224x224]... [-o DIR] "
     "[--dump NAME|all]... [--top K] [--profile FILE.json]",
     "run a model once",
     "Runs the model and prints each output's name, type, shape, range and first elements, or writes the outputs, or "
     "prints the best classes. An input that is not given is an error unless --fill is there.\n"
     "A picture becomes N x C x H x W (or N x H x W x C where the last dimension is 1 or 3): 0 to 1 for floats, 0 to "
     "255 for "
     "uint8, grey where the input has one channel.\n",
     {INPUT_OPTIONS, OPTION_OUTPUT_FOLDER, OPTION_DUMP, OPTION_TOP, OPTION_PROFILE, OPTION_END},
     1,
     1,
     "MODEL"},
    {"inspect",
     "MODEL [--json] [--dot FILE]",
     "what is in a model",
     "Prints inputs, outputs, opsets, exporter, operators, parameters, multiply-accumulates, the sizes of weights and "
     "arena "
     "(dynamic dimensions taken as 1), and the BatchNormalization nodes.\n",
     {OPTION_JSON, OPTION_DOT, OPTION_SHAPE, OPTION_END},
     1,
     1,
     "MODEL"},
    {"check",
     "MODEL...",
     "whether this build can run a model",
     "Names every node, element type and opset that this build does not support. Exit code 1 if there is any.\n",
     {OPTION_END},
     1,
     -1,
     "MODEL"},
    {"test",
     "DIR... [--rtol X] [--atol X] [--manifest FILE] [--filter GLOB] [--jobs N] [--verbose]",
     "run tests in the layout of ONNX's backend tests",
     "A test is a folder, at any depth below DIR, with model.onnx and test_data_set_N/input_I.pb, output_I.pb. "
     "Floating-point "
     "outputs may differ by atol 1e-7 + rtol 1e-3 * |expected|, all others must be equal; types and shapes must agree. "
     "Each test runs in a process of its own: a crash or a timeout fails that test alone. A model that this build "
     "refuses as "
     "unsupported is skipped and counted. Prints a line per failure with the worst element, and at the end "
     "`N passed, N failed, N skipped`. Exit code 1 if any test failed.\n"
     "Each line of a manifest is a glob over the test's path or folder name, then settings; the last line that matches "
     "wins; # begins a "
     "comment. Settings: rtol=X, atol=X, max=X (largest error over the output's largest magnitude), compare=top1 (the "
     "largest element of each row is the same one), compare=cosine min=X (similarity of expected and actual), "
     "compare=domain (random output: only "
     "type, shape and that each value is 0 or 1).\n",
     {OPTION_RTOL, OPTION_ATOL, OPTION_MANIFEST, OPTION_FILTER, OPTION_JOBS, OPTION_VERBOSE, OPTION_END},
     1,
     -1,
     "DIR"},
    {"bench",
     "MODEL [--warmup N] [--runs N] [--duration TIME] [--json] [--profile FILE.json]",
     "how long a run takes",
     "Loads the model, runs it on random inputs (or on given ones), and prints the times of loading, of the first run "
     "and of "
     "later ones, and the sizes of arena, weights and process; with --profile those of each node, over all measured "
     "runs. "
     "Takes -i, --fill, --seed and --shape of run too.\n",
     {OPTION_WARMUP, OPTION_RUNS, OPTION_DURATION, OPTION_JSON, OPTION_PROFILE, INPUT_OPTIONS, OPTION_END},
     1,
     1,
     "MODEL"},
    {"compare",
     "MODEL [OTHER] [--levels 0,2] [--max X] [--rtol X --atol X]",
     "where two levels, or two models, differ",
     "Runs the same inputs (random unless given) through MODEL at two levels, or through MODEL and OTHER, and compares "
     "every value "
     "that exists in both by its name, in the order of computation. Prints the first tensor that differs beyond the "
     "tolerance, then the error of every output. Exit code 1 if any tensor differs.\n",
     {OPTION_LEVELS, OPTION_MAX_ERROR, OPTION_RTOL, OPTION_ATOL, INPUT_OPTIONS, OPTION_VERBOSE, OPTION_END},
     1,
     2,
     "MODEL"},
    {"optimize",
     "IN -o OUT [--verify] [--max X]",
     "write a model with fewer nodes, as ONNX",
     "Folds constants and BatchNormalization, removes what does nothing, and writes the result with standard operators "
     "only. What is not changed keeps its bytes: names, comments, metadata, encodings, external data. Exit code 1 if "
     "--verify finds that the outputs differ; then nothing is written.\n",
     {OPTION_OUTPUT_FILE, OPTION_VERIFY, OPTION_MAX_ERROR, INPUT_OPTIONS, OPTION_END},
     1,
     1,
     "IN"},
    {"bn list",
     "MODEL [--json]",
     "the BatchNormalization nodes of a model",
     "Prints each node: channels, opset, epsilon, momentum, mode, what it follows, whether it can be folded and if not "
     "why, and its health: variance near zero, negative or NaN, scale 0, extreme gain, statistics that training never "
     "touched.\n",
     {OPTION_JSON, OPTION_END},
     1,
     1,
     "MODEL"},
    {"bn reestimate",
     "MODEL --data PATH... -o OUT [--method population|ema] [--order sequential|simultaneous] [--batch N] "
     "[--momentum M] [--epochs N] [--variance population|sample] [--only GLOB]... [--report FILE.json] "
     "[--moments FILE] [--from FILE]... [--skip-bad] [--scale X] [--mean M,...] [--std S,...] [--layout nchw|nhwc]",
     "measure means and variances anew and write the model with them",
     "Runs data without labels through the model and replaces the stored mean and variance of every BatchNormalization "
     "node. All else in the file stays byte for byte. A node whose statistics something else reads too gets copies of "
     "its own.\n"
     "With --order sequential the result does not depend on batches, threads or processes beyond 1e-12; as many passes "
     "over the data are made as nodes stand behind each other. Interrupted with --moments FILE, the same command goes "
     "on where it was.\n"
     "mpirun -n N norma bn reestimate ... shares the batches among N processes. Without MPI: run each share with "
     "--moments FILE and without -o, then the next pass with --from for each of these files, and at the end once "
     "with --from and -o and without --data.\n",
     {OPTION_DATA, OPTION_OUTPUT_FILE, OPTION_METHOD, OPTION_ORDER, OPTION_BATCH, OPTION_MOMENTUM, OPTION_EPOCHS,
      OPTION_VARIANCE, OPTION_ONLY, OPTION_REPORT, OPTION_MOMENTS, OPTION_FROM, OPTION_SKIP_BAD, OPTION_SCALE,
      OPTION_MEAN, OPTION_STD, OPTION_LAYOUT, OPTION_END},
     1,
     -1,
     "MODEL"},
    {"bn freeze",
     "MODEL -o OUT",
     "make a model exported in training mode one for inference",
     "BatchNormalization then uses the statistics that are stored, and its further outputs are removed; Dropout lets "
     "everything pass. Statistics that are not finite or negative are refused.\n",
     {OPTION_OUTPUT_FILE, OPTION_END},
     1,
     1,
     "MODEL"},
    {"bn fold",
     "MODEL -o OUT [--verify] [--max X]",
     "write a model with BatchNormalization folded away",
     "Moves BatchNormalization into the weights of the layer before or behind it, computed in double. Names of inputs "
     "and outputs stay, and so does what is not concerned.\n",
     {OPTION_OUTPUT_FILE, OPTION_VERIFY, OPTION_MAX_ERROR, INPUT_OPTIONS, OPTION_END},
     1,
     1,
     "MODEL"},
    {"ops",
     "[--json]",
     "the operators of this build",
     "Prints domain, operator, the versions that are implemented, and element types.\n",
     {OPTION_JSON, OPTION_END},
     0,
     0,
     ""},
    {.name = NULL},
};

const manual_command *manual_find(const char *name) {
  for (const manual_command *command = manual_commands; command->name; command++) {
    if (strcmp(command->name, name) == 0) return command;
  }
  return NULL;
}

const manual_option *manual_option_of(option_id id) {
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    if (options[i].id == id) return &options[i];
  }
  return NULL;
}

/* The length of the next piece that stays on one line: a word, or with `brackets` what [ ] hold together. */
static int piece_length(const char *text, bool brackets) {
  int length = 0, depth = 0;
  for (; text[length] && text[length] != '\n'; length++) {
    if (brackets) depth += (text[length] == '[') - (text[length] == ']');
    if (text[length] == ' ' && depth == 0) break;
  }
  return length;
}

/* Prints `text` in lines of at most 79 columns, each indented; the first begins at `column`. */
static void print_wrapped(FILE *file, const char *text, int indent, int column, bool brackets) {
  bool blank = false; /* one is due before the next piece */
  while (*text) {
    if (*text == '\n') {
      fprintf(file, "\n%*s", text[1] ? indent : 0, "");
      column = indent;
      blank = false;
      text++;
      continue;
    }
    int length = piece_length(text, brackets);
    if (blank && column + 1 + length > 79) {
      fprintf(file, "\n%*s", indent, "");
      column = indent;
    } else if (blank) {
      fputc(' ', file);
      column++;
    }
    fprintf(file, "%.*s", length, text);
    column += length;
    text += length;
    blank = *text == ' ';
    text += blank;
  }
}

static void print_option(FILE *file, const manual_option *option) {
  enum { TEXT_COLUMN = 26 };
  char head[64];
  const char *argument = option->argument ? option->argument : "";
  if (option->letter && option->name) {
    snprintf(head, sizeof head, "-%c, --%s %s", option->letter, option->name, argument);
  } else if (option->letter) {
    snprintf(head, sizeof head, "-%c %s", option->letter, argument);
  } else {
    snprintf(head, sizeof head, "--%s %s", option->name, argument);
  }
  int column = fprintf(file, "  %s", head);
  if (column < TEXT_COLUMN) {
    fprintf(file, "%*s", TEXT_COLUMN - column, "");
  } else {
    fprintf(file, "\n%*s", TEXT_COLUMN, "");
  }
  print_wrapped(file, option->text, TEXT_COLUMN, TEXT_COLUMN, false);
  fputc('\n', file);
}

static void print_options(FILE *file, const char *title, const option_id *ids) {
  if (*ids == OPTION_END) return;
  fprintf(file, "\n%s:\n", title);
  for (; *ids != OPTION_END; ids++) print_option(file, manual_option_of(*ids));
}

void manual_print_overview(FILE *file) {
  fprintf(file, "Norma runs ONNX models.\n\nusage:\n");
  for (const manual_command *command = manual_commands; command->name; command++) {
    fprintf(file, "  norma %s ", command->name);
    print_wrapped(file, command->synopsis, 10, 9 + (int)strlen(command->name), true);
    fputc('\n', file);
  }
  fprintf(file, "\n");
  for (const manual_command *command = manual_commands; command->name; command++) {
    fprintf(file, "  %-15s%s\n", command->name, command->summary);
  }
  print_options(file, "options of all commands", manual_common_options);
  fprintf(file, "\nExit codes: 0 yes; 1 the answer is no (a test failed, something is unsupported,\n"
                "tensors differ); 2 usage, or input that is refused.\n"
                "norma COMMAND --help says more.\n");
}

void manual_print_command(FILE *file, const manual_command *command) {
  int indent = 14 + (int)strlen(command->name);
  fprintf(file, "usage: norma %s ", command->name);
  print_wrapped(file, command->synopsis, indent, indent, true);
  fprintf(file, "\n\n");
  print_wrapped(file, command->text, 0, 0, false);
  print_options(file, "options", command->options);
  print_options(file, "options of all commands", manual_common_options);
}

/* Prints running text for troff: hyphens that are options stay hyphens, no line begins with a control character. */
static void print_troff(FILE *file, const char *text) {
  bool line_start = true;
  for (; *text; text++) {
    if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", file);
    line_start = *text == '\n';
    if (*text == '-') {
      fputs("\\-", file);
    } else if (*text == '\\') {
      fputs("\\e", file);
    } else if (*text == '\n' && text[1]) {
      fputs("\n.PP\n", file);
    } else {
      fputc(*text, file);
    }
  }
}

/* The same for a synopsis: what brackets hold together stays on one line. */
static void print_troff_synopsis(FILE *file, const char *text) {
  int depth = 0;
  for (; *text; text++) {
    depth += (*text == '[') - (*text == ']');
    if (*text == '-' || (*text == ' ' && depth > 0)) fputc('\\', file);
    fputc(*text, file);
  }
}

static void print_troff_options(FILE *file, const option_id *ids) {
  for (; *ids != OPTION_END; ids++) {
    const manual_option *option = manual_option_of(*ids);
    fputs(".TP\n", file);
    if (option->letter) fprintf(file, "\\fB\\-%c\\fR", option->letter);
    if (option->letter && option->name) fputs(", ", file);
    if (option->name) {
      fputs("\\fB\\-\\-", file);
      print_troff(file, option->name);
      fputs("\\fR", file);
    }
    if (option->argument) {
      fputs(" \\fI", file);
      print_troff(file, option->argument);
      fputs("\\fR", file);
    }
    fputc('\n', file);
    print_troff(file, option->text);
    fputc('\n', file);
  }
}

void manual_print_page(FILE *file) {
  fprintf(file, ".TH NORMA 1 \"\" \"Norma %s\" \"User commands\"\n", norma_version());
  fprintf(file, ".SH NAME\nnorma \\- run, inspect, test and compare ONNX models\n.SH SYNOPSIS\n.ad l\n");
  for (const manual_command *command = manual_commands; command->name; command++) {
    fprintf(file, ".HP 8\n\\fBnorma %s\\fR ", command->name);
    print_troff_synopsis(file, command->synopsis);
    fputc('\n', file);
  }
  fprintf(file,
          ".ad b\n.SH DESCRIPTION\nNorma runs models in the ONNX format. Results go to standard output, errors to "
          "standard error as one line that begins with \\(lqnorma:\\(rq. Progress is shown on a terminal only.\n"
          ".SH COMMANDS\n");
  for (const manual_command *command = manual_commands; command->name; command++) {
    fprintf(file, ".SS norma %s \\- %s\n", command->name, command->summary);
    print_troff(file, command->text);
    print_troff_options(file, command->options);
  }
  fprintf(file, ".SH OPTIONS OF ALL COMMANDS\n");
  print_troff_options(file, manual_common_options);
  fprintf(file,
          ".SH EXIT STATUS\n.TP\n0\nDone; the answer is yes.\n.TP\n1\nThe answer is no: a test failed, something is "
          "unsupported, tensors differ.\n.TP\n2\nUsage, or input that is refused.\n");
  fprintf(file,
          ".SH ENVIRONMENT\n.TP\nNORMA_KERNELS\nForces a kernel table that this machine can run, such as "
          "sse2: \\-\\-version names all that were built. A table comes with those of its overrides that this machine "
          "can run; avx2:plain is avx2 without them.\n");
}

void manual_print_version(FILE *file) {
  fprintf(file, "norma %s\n%s\npictures: %s\nprocesses: %s\n", norma_version(), norma_build_features(),
          picture_formats(), ranks_version());
}

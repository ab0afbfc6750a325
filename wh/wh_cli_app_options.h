/* The entries of wh_cli_app.def inside a list of options; included there, and nowhere else. */
#define APP_TEXT(option, arg, path, shown, title, effect, doc) {option, 0, arg, doc},
#define APP_NEED(option, arg, path, shown, title, effect, doc) {option, 0, arg, doc},
#define APP_NUMBER(option, arg, path, least, shown, title, effect, doc) {option, 0, arg, doc},
#define APP_SWITCH(option, path, shown, title, effect, doc)                                        \
    {option, 0, NULL, doc}, {"no-" option, 0, NULL, "takes --" option " back"},
#include "wh/wh_cli_app.def"
#undef APP_TEXT
#undef APP_NEED
#undef APP_NUMBER
#undef APP_SWITCH

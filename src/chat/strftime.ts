/** Python's `strftime` as chat templates use it: local time, English names whatever the host's language. */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;

/** `format` with its directives replaced; `%-d` drops the padding; unknown directives stay as they are, as in glibc. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (directive, dash: string, letter: string) => {
    const text = field(date, letter);
    if (text === undefined) return directive;
    return dash === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}

function field(date: Date, letter: string): string | undefined {
  switch (letter) {
    case "a":
      return DAYS[date.getDay()]!.slice(0, 3);
    case "A":
      return DAYS[date.getDay()]!;
    case "b":
    case "h":
      return MONTHS[date.getMonth()]!.slice(0, 3);
    case "B":
      return MONTHS[date.getMonth()]!;
    case "c":
      return strftime(date, "%a %b %e %H:%M:%S %Y");
    case "d":
      return pad(date.getDate());
    case "D":
    case "x":
      return strftime(date, "%m/%d/%y");
    case "e":
      return pad(date.getDate(), 2, " ");
    case "F":
      return strftime(date, "%Y-%m-%d");
    case "H":
      return pad(date.getHours());
    case "I":
      return pad(date.getHours() % 12 || 12);
    case "j":
      return pad(dayOfYear(date), 3);
    case "m":
      return pad(date.getMonth() + 1);
    case "M":
      return pad(date.getMinutes());
    case "n":
      return "\n";
    case "p":
      return date.getHours() < 12 ? "AM" : "PM";
    case "S":
      return pad(date.getSeconds());
    case "t":
      return "\t";
    case "T":
    case "X":
      return strftime(date, "%H:%M:%S");
    case "u":
      return String(date.getDay() || 7);
    case "w":
      return String(date.getDay());
    case "y":
      return pad(date.getFullYear() % 100);
    case "Y":
      return String(date.getFullYear());
    case "z": // A naive datetime has no zone: Python prints nothing.
    case "Z":
      return "";
    case "%":
      return "%";
    default:
      return undefined;
  }
}

function dayOfYear(date: Date): number {
  const midnight = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (midnight - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000;
}

function pad(value: number, width = 2, fill = "0"): string {
  return String(value).padStart(width, fill);
}

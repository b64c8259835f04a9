"""Write the sentences to learn from and those held out: texts/train.txt and texts/heldout.txt.

Three sources: example sentences and glosses of WordNet 3.0 (`apt-get install wordnet-base`),
sentences put together from the word lists below, and two sentences in a row. All are lower case,
without digits, as the model sees them. Held out are the sentences that this project's own smoke
and listener use, and a random sample of the rest.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
from pathlib import Path
from typing import Iterable, Iterator

SEED = 7
TRAIN = 26_000
HELD_OUT = 200
SHORT = (3, 14)
"""Fewest and most words of a usual sentence."""
LONG = 20
"""Most words of the few long ones."""
MOST_LETTERS = 140

PROJECT = (
    "Good morning to all of you.",
    "It rains in the mountains.",
    "The old bridge was closed because the river had risen.",
    "She bought fresh bread and a basket of green apples.",
    "Our train leaves from the last platform at seven.",
    "Please put the heavy boxes next to the kitchen door.",
    "A small dog ran across the empty street.",
    "Nobody knew why the lights went out last night.",
    "He wrote a long letter to his sister in winter.",
    "The children are building a house of sand and stones.",
    "Turn left after the church and follow the narrow road.",
    "We will meet again when the summer is over.",
    "My neighbor plays the piano every evening.",
    "The doctor told him to drink more water.",
    "There is a yellow bird sitting on the roof.",
    "They found an old coin under the wooden floor.",
    "I would like a cup of coffee without sugar.",
    "The teacher opened the window and smiled.",
    "Most of the tickets were sold before noon.",
    "Snow covered the fields from here to the forest.",
    "Her brother works in a factory near the harbor.",
    "You can see the whole city from that tower.",
    "The soup is too hot to eat right now.",
    "When the storm was over we walked along the beach and looked for pieces of wood to burn.",
    "If you want to catch the early boat you should go to bed now and set the clock for five.",
    "The people in the village say that nobody has lived in the house on the hill for years.",
    "Good morning.",
    "The quick brown fox jumps over the lazy dog.",
)
"""What xcompat says and listens for."""

_UNWANTED = re.compile(
    r"\b(sex|rape|whore|slut|bitch|nigg|negro|penis|vagin|breast|erotic|genital|fuck|shit|damn|"
    r"hell|murder|kill|suicid|nazi|jew|slave|prostitut|homosexual|lesbian|naked|nude|porn|drunk|"
    r"testic|anus|anal|rectum|feces|urin|semen|mistress|corpse|fag|queer|savage|coon|spic|bastard|"
    r"stab|shot|bomb|terroris|genocid|lynch|hang|cancer|syphil|gonorr|hiv|aids|tumor|abort)\w*"
)
_ABBREVIATION = re.compile(
    r"\b(mrs|mr|dr|st|co|jr|maj|gen|drs|rev|lt|hon|sgt|capt|esq|ltd|col|ft|etc|vs|eg|ie|usu|esp)\."
)

_PEOPLE = (
    "my sister,my brother,my mother,my father,the teacher,the doctor,the driver,our neighbor,"
    "the farmer,the nurse,a friend of mine,the young woman,the old man,the boy,the girl,"
    "the manager,the student,the captain,the pilot,the waiter,the singer,the painter,"
    "the engineer,her uncle,his aunt,their cousin,the baker,the lawyer,the mayor,the judge,"
    "an old woman,a tall man,the gardener,the writer,the scientist,the guard,somebody,nobody,"
    "everyone,the child,the visitor,the customer,the guest,he,she,the shopkeeper,the plumber,"
    "the musician,the dentist,the tailor,the fisherman,the soldier,the queen,the king"
).split(",")
_DID = (
    "opened,closed,found,lost,bought,sold,carried,cleaned,painted,repaired,dropped,watched,"
    "borrowed,wanted,liked,needed,brought,left,moved,showed me,gave me,forgot,remembered,"
    "pointed at,looked at,talked about,asked about,paid for,waited for,searched for,took,kept,"
    "hid,broke,built,pushed,pulled,threw,caught,washed,counted,measured,ordered,returned,"
    "described,noticed,touched,heard about,knew about,laughed at"
).split(",")
_THINGS = (
    "door,window,box,letter,book,table,chair,lamp,bottle,basket,bicycle,car,ticket,map,picture,"
    "mirror,coat,shirt,hat,shoe,key,clock,watch,phone,camera,computer,radio,knife,fork,spoon,"
    "plate,cup,glass,bread,cheese,apple,orange,lemon,onion,potato,carrot,fish,chicken,soup,"
    "cake,flower,tree,garden,fence,gate,wall,roof,floor,carpet,bed,pillow,blanket,towel,brush,"
    "comb,soap,bucket,ladder,hammer,nail,saw,rope,wheel,engine,boat,ship,train,bus,plane,bridge,"
    "road,path,river,lake,island,mountain,hill,valley,forest,field,farm,horse,cow,sheep,goat,"
    "pig,dog,cat,mouse,bird,duck,goose,rabbit,fox,bear,coin,ring,necklace,purse,wallet,bag,"
    "suitcase,umbrella,newspaper,magazine,notebook,pencil,pen,ruler,desk,shelf,drawer,kettle,"
    "pan,oven,fridge,piano,guitar,violin,drum,song,story,film,game,ball,toy,doll,kite,puzzle,"
    "question,answer,number,message,package,parcel,stamp,candle,match,fire,stone,brick,board,"
    "tool,machine,button,switch,cable,battery,screen,keyboard,printer,paper,scissors,needle,"
    "thread,cloth,curtain,sofa,cushion,vase,jar,bowl,tray,basin,tap,pipe,hose,spade,rake"
).split(",")
_KINDS = (
    "old,new,big,small,red,blue,green,yellow,black,white,brown,grey,heavy,light,long,short,"
    "broken,clean,dirty,wet,dry,warm,cold,hot,strange,beautiful,ugly,cheap,expensive,empty,full,"
    "wooden,round,square,narrow,wide,deep,soft,hard,sharp,smooth,rough,bright,dark,quiet,noisy,"
    "heavy iron,tiny,huge,thin,thick,fresh,rusty,silver,golden,plastic,leather,useful,famous,"
    "favorite,second,last,first,only,other,best,wrong,right,purple,orange,pink"
).split(",")
_WHERE = (
    "in the kitchen,in the garden,on the table,under the bed,behind the house,near the river,"
    "at the station,by the window,in the street,on the roof,at the market,in the office,"
    "next to the door,between the trees,across the road,in front of the school,at the airport,"
    "inside the box,outside the shop,along the beach,above the fireplace,below the stairs,"
    "in the middle of the room,on the other side of the lake,at the end of the street,"
    "around the corner,in the village,in the city,at the museum,in the library,on the farm,"
    "in the basement,on the second floor,at the hotel,beside the church,over the fence,"
    "from the shelf,into the water,through the tunnel,toward the hills,at the bakery"
).split(",")
_WHEN = (
    "yesterday,today,last night,this morning,every evening,on monday,on tuesday,on wednesday,"
    "on thursday,on friday,on saturday,on sunday,in january,in february,in march,in april,"
    "in may,in june,in july,in august,in september,in october,in november,in december,"
    "last week,two days ago,before breakfast,after lunch,after dinner,at noon,at midnight,"
    "in the afternoon,all day long,for three hours,in the spring,in the summer,in the autumn,"
    "in the winter,a year ago,once a week,from time to time,as usual,again,later,at last"
).split(",")
_NAMES = (
    "anna,peter,maria,john,susan,david,laura,michael,emma,thomas,julia,robert,sarah,daniel,"
    "helen,george,alice,henry,lucy,oliver,grace,samuel,nora,martin,clara,simon,rose,victor"
).split(",")
_PLACES = (
    "london,paris,rome,berlin,madrid,boston,chicago,denver,seattle,dublin,oxford,vienna,"
    "the coast,the mountains,the airport,the station,the hospital,the school,the harbor,"
    "the park,the theater,the city center,the lake,the border,the north,the south"
).split(",")
_SMALL = (
    "one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve,thirteen,fourteen,fifteen,"
    "sixteen,seventeen,eighteen,nineteen"
).split(",")
_TENS = "twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety".split(",")
_ORDINALS = (
    "first,second,third,fourth,fifth,sixth,seventh,eighth,ninth,tenth,eleventh,twelfth,"
    "thirteenth,fourteenth,fifteenth,sixteenth,seventeenth,eighteenth,nineteenth,twentieth,"
    "twenty-first,twenty-second,twenty-third,twenty-fourth,twenty-fifth,twenty-sixth,"
    "twenty-seventh,twenty-eighth,twenty-ninth,thirtieth,thirty-first"
).split(",")
_MONTHS = (
    "january,february,march,april,may,june,july,august,september,october,november,december"
).split(",")
_DAYS = "monday,tuesday,wednesday,thursday,friday,saturday,sunday".split(",")
_WEATHER = (
    "sunny,cloudy,windy,rainy,foggy,cold,warm,hot,wet,dry,stormy,mild,freezing,humid,clear,"
    "very cold,rather warm,quite windy,a little cloudy"
).split(",")
_FALLS = "rains,snows,often rains,never snows,hardly ever rains,always rains,sometimes snows".split(
    ","
)
_LANDS = (
    "in the hills,in the valley,in the north,in the south,on the coast,in the desert,in the forest,"
    "in the village,on the island,in the city,in the west,near the lake,in the east"
).split(",")
_GREETINGS = (
    "good morning,good evening,good afternoon,hello,good night,welcome,welcome back,thank you,"
    "many thanks,goodbye,see you soon,see you tomorrow,nice to meet you,have a nice day,"
    "excuse me,i am sorry,congratulations,happy birthday,good luck,take care,hi"
).split(",")
_ADDRESSED = (
    "to everyone,to all,everybody,my friend,my friends,dear friends,ladies and gentlemen,sir,"
    "madam,doctor,to you,to you all,to both of you,children,to the whole family,to the team,"
    "to our guests,to all our listeners,again,there,to all of us"
).split(",")
_FEELINGS = (
    "happy,sad,tired,angry,hungry,thirsty,ready,late,early,busy,free,alone,afraid,proud,sick,"
    "lucky,careful,quiet,sure,glad,surprised,bored,excited,worried,calm"
).split(",")
_ACTS = (
    "open the window,close the door,turn off the light,turn on the radio,call me tomorrow,"
    "write your name here,read the next page,sit down,stand up,come in,go home,wait a moment,"
    "listen carefully,speak slowly,repeat the sentence,follow me,help your brother,"
    "wash your hands,drink some water,eat your soup,take the train,buy some bread,"
    "bring the map,look at the sky,count to ten,press the button,check the address,"
    "try again,be careful,keep left,turn right,stay here,send a message,choose a number,"
    "start the engine,stop the music,clean the kitchen,feed the cat,water the plants,"
    "pack your bag,lock the car,remember the password,save the file,restart the computer"
).split(",")
_JOINED = "and,but,because,when,so,while,after,before,although,until".split(",")


def main() -> None:
    """Write both lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "texts")
    options = parser.parse_args()
    chance = random.Random(SEED)

    project = [_plain(text) for text in PROJECT]
    examples, glosses = _from_wordnet(options.wordnet)
    composed = _unique(_composed(chance))
    chance.shuffle(examples)
    chance.shuffle(glosses)
    chance.shuffle(composed)
    taken = set(project)
    pool = [text for text in _unique([*examples[:15_000], *composed[:8_000]]) if text not in taken]
    chance.shuffle(pool)
    others = [text for text in pool if 4 <= len(text.split()) <= 12]
    held_out = [*project, *others[: HELD_OUT - len(project)]]
    taken.update(held_out)
    train = [text for text in pool if text not in taken]
    train += [text for text in glosses if text not in taken][: TRAIN - 1_500 - len(train)]
    short = [text for text in train if len(text) < 60]
    while len(train) < TRAIN:
        train.append(" ".join(chance.sample(short, 2)))
    chance.shuffle(train)
    options.folder.mkdir(exist_ok=True)
    for name, texts in (("train", train), ("heldout", held_out)):
        path = options.folder / f"{name}.txt"
        path.write_text("\n".join(texts) + "\n", encoding="ascii")
        print(f"{path}: {len(texts)} sentences, {len({w for t in texts for w in t.split()})} words")


def _plain(text: str) -> str:
    """Return `text` as the model sees it."""
    text = text.lower().replace("-", " ").replace(";", ",").replace(":", ",").replace("`", "'")
    return " ".join(text.split())


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _from_wordnet(folder: Path) -> tuple[list[str], list[str]]:
    """Return example sentences and glosses made of words that occur more than a few times."""
    examples: list[str] = []
    glosses: list[str] = []
    for name in ("verb", "adj", "adv", "noun"):
        for line in (folder / f"data.{name}").read_text("ascii", "replace").splitlines():
            if line.startswith("  ") or "|" not in line:
                continue
            gloss = line.split("|", 1)[1]
            examples += re.findall(r'"([^"]*)"', gloss)
            definition = re.sub(r"\([^)]*\)", "", gloss.split('"', 1)[0]).split(";")[0]
            glosses.append(definition)
    kept_examples = [_sentence(text) for text in examples if _is_sentence(text)]
    kept_glosses = [_sentence(text) for text in glosses if _is_sentence(text)]
    counts = collections.Counter(
        word for text in (*kept_examples, *kept_glosses) for word in _words(text)
    )

    def common(text: str, least: int) -> bool:
        return all(counts[word] >= least for word in _words(text))

    return (
        _unique(text for text in kept_examples if common(text, 3)),
        _unique(text for text in kept_glosses if common(text, 4)),
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text)


def _sentence(text: str) -> str:
    text = _plain(text).strip(" ,")
    return text if text[-1] in ".?!" else text + "."


def _is_sentence(text: str) -> bool:
    text = _plain(text).strip(" ,")
    words = len(text.split())
    most = LONG if hash_fraction(text) < 0.15 else SHORT[1]
    return (
        SHORT[0] <= words <= most
        and len(text) <= MOST_LETTERS
        and re.fullmatch(r"[a-z',.?! ]+", text) is not None
        and not re.search(r"[.?!].*[a-z]|\.\.|''|\b[b-hj-z]\b|^'|' | '", text)
        and not _UNWANTED.search(text)
        and not _ABBREVIATION.search(text + ".")
    )


def hash_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return random.Random(text).random()


def _composed(chance: random.Random) -> Iterator[str]:
    pick = chance.choice
    makers = (
        lambda: f"{pick(_PEOPLE)} {pick(_DID)} the {pick(_KINDS)} {pick(_THINGS)} {pick(_WHERE)}",
        lambda: f"{pick(_PEOPLE)} {pick(_DID)} the {pick(_THINGS)} {pick(_WHEN)}",
        lambda: f"{pick(_PEOPLE)} {pick(_DID)} a {pick(_KINDS)} {pick(_THINGS)}",
        lambda: f"the {pick(_THINGS)} {pick(_WHERE)} is {pick(_KINDS)}",
        lambda: f"there is a {pick(_KINDS)} {pick(_THINGS)} {pick(_WHERE)}",
        lambda: f"where is the {pick(_KINDS)} {pick(_THINGS)}?",
        lambda: f"did you see the {pick(_THINGS)} {pick(_WHERE)}?",
        lambda: f"please put the {pick(_THINGS)} {pick(_WHERE)}",
        lambda: f"please {pick(_ACTS)}",
        lambda: f"{pick(_ACTS)} and then {pick(_ACTS)}",
        lambda: f"{pick(_NAMES)} and {pick(_NAMES)} went to {pick(_PLACES)} {pick(_WHEN)}",
        lambda: f"{pick(_NAMES)} is {pick(_FEELINGS)} {pick(_WHEN)}",
        lambda: f"i am {pick(_FEELINGS)}, {pick(_JOINED)} {pick(_NAMES)} is {pick(_FEELINGS)}",
        lambda: f"the train to {pick(_PLACES)} leaves at {_clock(chance)}",
        lambda: f"it is {_clock(chance)} in {pick(_PLACES[:12])}",
        lambda: f"today is {pick(_DAYS)}, the {pick(_ORDINALS)} of {pick(_MONTHS)}",
        lambda: f"the meeting is on {pick(_DAYS)}, {pick(_MONTHS)} {pick(_ORDINALS)}",
        lambda: f"{_number(chance)} and {_number(chance)} make {_number(chance)}",
        lambda: f"that costs {_number(chance)} dollars",
        lambda: f"we counted {_number(chance)} {pick(_THINGS)}s {pick(_WHERE)}",
        lambda: f"the {pick(_ORDINALS)} {pick(_THINGS)} is {pick(_KINDS)}",
        lambda: f"the weather in {pick(_PLACES[:12])} is {pick(_WEATHER)} {pick(_WHEN)}",
        lambda: f"it is {pick(_WEATHER)} and {pick(_WEATHER)} today",
        lambda: f"it {pick(_FALLS)} {pick(_LANDS)} {pick(_WHEN)}",
        lambda: f"it {pick(_FALLS)} {pick(_LANDS)}",
        lambda: f"{pick(_GREETINGS)} {pick(_ADDRESSED)}",
        lambda: f"{pick(_GREETINGS)}, {pick(_NAMES)}",
        lambda: f"{pick(_GREETINGS)}, {pick(_NAMES)}. {pick(_ACTS)}, please",
        lambda: f"the quick {pick(_KINDS)} fox jumps over the {pick(_KINDS)} {pick(_THINGS)}",
        lambda: f"the {pick(_KINDS)} {pick(_THINGS)} jumps over the lazy dog",
        lambda: (
            f"{pick(_PEOPLE)} {pick(_DID)} the {pick(_THINGS)} {pick(_JOINED)} "
            f"{pick(_PEOPLE)} {pick(_DID)} the {pick(_THINGS)}"
        ),
        lambda: f"this is the voice of a small model that learned to read {pick(_WHEN)}",
        lambda: f"this is a test of the {pick(_KINDS)} {pick(_THINGS)}",
    )
    weights = (6, 4, 3, 3, 3, 2, 2, 2, 2, 3, 3, 2, 2, 3, 2, 2, 2, 2, 2, 2, 2, 3, 2, 3, 2, 3, 2, 3,
               2, 1, 5, 0.1, 1)  # fmt: skip
    for make in chance.choices(makers, weights, k=14_000):
        text = re.sub(r"\ba (?=[aeiou])", "an ", make())
        text = re.sub(r"(sh|ch|s|x)s\b", r"\1es", text) if "we counted" in text else text
        text = _plain(text)
        if len(text.split()) >= 2 and len(text) < MOST_LETTERS:
            yield text if text[-1] in ".?!" else text + "."


def _number(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.35:
        return chance.choice(_SMALL)
    if kind < 0.5:
        return chance.choice(_TENS)
    two = f"{chance.choice(_TENS)} {chance.choice(_SMALL[:9])}"
    if kind < 0.8:
        return two
    return f"{chance.choice(_SMALL[:9])} {chance.choice(('hundred', 'thousand'))} and {two}"


def _clock(chance: random.Random) -> str:
    hour = chance.choice(_SMALL[:12])
    minutes = chance.choice(("o'clock", "thirty", "fifteen", "forty five", "ten", "twenty", ""))
    return f"{hour} {minutes}".strip()


if __name__ == "__main__":
    main()

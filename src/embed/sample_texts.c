/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/sample_texts.h"

const char *const mf_sample_calibration[MF_SAMPLE_CALIBRATION] = {
    "Hello!",
    "Yes, that works for me.",
    "What time does the train to Lyon leave on Sunday morning?",
    "My sister's dog is called Biscuit and he is afraid of thunder.",
    "I moved to Lisbon in 2019 because of a new job at a shipyard.",
    "Please remind me to water the tomatoes every second evening while we are away.",
    "The meeting was moved from 10:30 to 14:15, room B-204, bring the signed contract.",
    "ok",
    "lol no way 😂😂 you really did that??",
    "THE SHIPMENT HAS BEEN DELAYED AGAIN AND NOBODY TOLD ME",
    "She said: \"I'd rather walk than take the bus\" - and so we walked for two hours.",
    "Invoice 2024-00317: 12 x 49.90 EUR = 598.80 EUR, due within 30 days.",
    "for (size_t i = 0; i < n; i++) { sum += a[i] * b[i]; }",
    "SELECT name, COUNT(*) FROM orders WHERE total > 100 GROUP BY name ORDER BY 2 DESC;",
    "Error: connection refused (errno 111) while connecting to 127.0.0.1:5432",
    "https://example.org/a/path?query=1&lang=en#part-3",
    "def greet(name: str) -> str:\n    return f\"hello {name}\"",
    "The mitochondrion is the part of the cell that turns nutrients into energy.",
    ("In 1815 the eruption of a volcano in Indonesia led to a year without a summer in "
     "Europe, to failed harvests, and to the invention of an ancestor of the bicycle."),
    "He plays the cello, badly but with enthusiasm, in an orchestra of amateurs.",
    "Our flat has three rooms, a balcony to the south, and a neighbour who sings.",
    "Can you recommend a book about the history of mathematics for a teenager?",
    "I am allergic to peanuts and to most nuts, but almonds are fine in small amounts.",
    "The patient reports mild headaches, no fever, blood pressure 128/82.",
    "Nothing beats fresh bread with butter and a pinch of salt.",
    "Die Besprechung wurde auf Donnerstag verschoben, weil der Kunde krank ist.",
    "Könntest du mir bitte die Schlüssel für das Gartenhäuschen mitbringen?",
    "Je voudrais réserver une table pour quatre personnes, près de la fenêtre.",
    "L'été dernier, nous avons traversé les Alpes à vélo avec deux enfants.",
    "¿Dónde está la estación de autobuses más cercana, por favor?",
    "Mi abuela cocina el mejor arroz con leche de todo el pueblo.",
    "Vorrei sapere se il museo è aperto anche il lunedì di Pasqua.",
    "O gato dormiu o dia inteiro em cima do teclado do computador.",
    "Ik heb gisteren mijn fiets laten repareren bij de winkel op de hoek.",
    "Jutro rano jedziemy nad morze, więc spakuj ręczniki i krem.",
    "Kan du skicka mig receptet på kanelbullar som du bakade i fredags?",
    "Завтра мы поедем на дачу и будем собирать яблоки и груши.",
    "Скажите, пожалуйста, как пройти к ближайшей аптеке?",
    "Η θάλασσα ήταν ήρεμη και ο ουρανός γεμάτος αστέρια.",
    "明天下午三点在图书馆门口见面,别忘了带笔记本。",
    "他每天早上六点起床,沿着河边跑五公里。",
    "来週の水曜日に新しい先生が学校に来ます。",
    "このスープは少し塩辛いですが、とても美味しいです。",
    "내일 오후에 친구들과 함께 영화를 보러 갈 거예요.",
    "اجتمعنا أمس في المقهى وتحدثنا عن السفر إلى المغرب.",
    "מחר בבוקר ניפגש ליד התחנה ונצא לטיול בהרים.",
    "मुझे कल सुबह जल्दी उठना है क्योंकि मेरी ट्रेन छह बजे है।",
    "พรุ่งนี้เราจะไปตลาดเพื่อซื้อผลไม้และปลา",
    "Ngày mai trời sẽ mưa, nhớ mang theo ô nhé.",
    "Yarın akşam yemeği için misafirlerimiz var, erken gelebilir misin?",
    "x² + y² = r², where r ≈ 3.14159 and x ∈ [0, 1]",
    "🙂👍🏽 🚀 ❤️ 🎉",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ("The committee met for the third time this spring to discuss what should become of the "
     "old swimming hall. The engineers had found that the roof could be repaired for less "
     "than feared, while the heating would have to be replaced altogether. Several members "
     "asked whether a smaller pool would not serve the town as well. The treasurer showed "
     "three plans with different loans and running costs, and warned that prices of "
     "building material were rising by the month. A woman from the swimming club, who had "
     "brought forty letters from children, said that the nearest other pool was an hour "
     "away by bus. In the end it was decided to ask for two more offers and to vote in "
     "June, before the summer break, so that work could begin with the next year."),
};

const char *const mf_sample_guard[MF_SAMPLE_GUARD] = {
    "Good morning",
    "no",
    "thanks a lot, see you on Friday!",
    "Which of my friends has a birthday in October?",
    "I really dislike olives but I love capers.",
    "My new bicycle is red and has a basket for groceries.",
    "We adopted two kittens last week, a black one and a striped one.",
    "Remember that my daughter starts school in September.",
    "The doctor told me to drink more water and to sleep at least seven hours.",
    "My favourite film is an old black-and-white comedy about a jewel thief.",
    "How do I change the language of the settings menu?",
    "The password must have 12 characters, one digit and one of !@#$%^&*().",
    "brb, phone is dying 🔋",
    "WHY IS IT SO HARD TO FIND A GOOD PLUMBER IN THIS CITY",
    "The boiling point of water falls by about one degree every 300 metres.",
    "He was born in a village of eighty people, became a surgeon, and later a pilot.",
    "Let's meet at the fountain at noon; if it rains, inside the station.",
    "Total: $1,284.07 (incl. 7.5% tax), paid 2023-11-30 by card ending in 4411",
    "int main(void) { return puts(\"hi\") == EOF; }",
    "git rebase --interactive HEAD~4 && git push --force-with-lease",
    "{\"id\": 17, \"tags\": [\"a\", \"b\"], \"ok\": true, \"ratio\": 0.25}",
    "Traceback (most recent call last): File \"app.py\", line 12, KeyError: 'user'",
    "kernel: [12345.678901] usb 1-2: new high-speed USB device number 5",
    "10.0.0.1 - - [12/Mar/2024:06:25:24 +0000] \"GET / HTTP/1.1\" 200 612",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The defendant shall pay the costs of the proceedings, including expert fees.",
    "Take 200 g of flour, two eggs, a pinch of salt, and half a litre of milk.",
    "Turn left after the bridge, pass two traffic lights, then it is the third house.",
    "Sonnet, fugue, haiku, ballad: four forms that live by what they leave out.",
    "Interest rates were left unchanged, the central bank announced on Thursday.",
    "The goalkeeper saved two penalties and became the hero of the evening.",
    "A group of crows is called a murder, a group of owls a parliament.",
    "Wir haben am Wochenende die Küche gestrichen, sie ist jetzt hellgrün.",
    "Der Zug hatte zwei Stunden Verspätung, deshalb habe ich den Anschluss verpasst.",
    "Ma fille apprend le violon depuis trois ans et joue déjà très bien.",
    "Le fromage que tu as acheté au marché était délicieux, merci beaucoup.",
    "El próximo verano queremos recorrer la costa en una furgoneta antigua.",
    "Se me olvidó comprar leche, ¿puedes pasar por el supermercado?",
    "Domani sera preparo le lasagne come le faceva mia nonna.",
    "A reunião foi cancelada porque faltou energia no prédio inteiro.",
    "Morgen gaan we schaatsen als het ijs dik genoeg is.",
    "Zapomniałem parasola i całkiem przemokłem w drodze do pracy.",
    "Min bror arbetar som fyrvaktare på en liten ö i norr.",
    "Мой брат работает инженером на заводе в Новосибирске.",
    "Вчера вечером мы смотрели старый фильм про космонавтов.",
    "Θα ήθελα έναν καφέ χωρίς ζάχαρη και ένα ποτήρι νερό.",
    "我的妹妹在上海学习建筑,明年夏天毕业。",
    "这家餐厅的饺子比我妈妈做的还好吃。",
    "新しい自転車を買ったので、週末に海まで行きたいです。",
    "電車が遅れていますので、少々お待ちください。",
    "저는 매일 아침 공원에서 삼십 분씩 걷습니다.",
    "أختي طبيبة وتعمل في مستشفى كبير في القاهرة.",
    "אחותי לומדת רפואה ורוצה להיות רופאת ילדים.",
    "मेरी माँ हर रविवार को खीर बनाती हैं।",
    "ฉันชอบดื่มกาแฟเย็นตอนบ่าย",
    "Con mèo nhà tôi thích ngủ trên bàn phím.",
    "Kedim bütün gün pencerenin önünde uyuyor.",
    "∑ (aᵢ − ā)² ÷ (n − 1) → σ², ∀ n ≥ 2",
    "👩‍🚀 🌍 → 🌕 ✅",
    "zzzz qwrtp xkcd lmnop ghjkl vbnm",
    ("I grew up near a harbour, and the first money I ever earned was for mending nets. The "
     "old men who taught me spoke little and laughed a lot. They knew each rock of the bay "
     "by a name that stood on no map, and they could tell from the colour of the water "
     "whether the mackerel had come. When I was sixteen I wanted nothing but to leave; now "
     "that I live among towers of glass, I keep a piece of tarred rope in the drawer of my "
     "desk, and when a meeting lasts too long I open the drawer a little."),
    ("To reset the device, hold the power button for ten seconds until the light blinks "
     "twice. Release it, wait for half a minute, and press it again. The device will start "
     "with factory settings: your networks, your names and your schedules are gone, while "
     "the firmware stays as it is. If the light keeps blinking red, the update was "
     "interrupted: connect the device with the cable to a computer, open the service page, "
     "and choose the file that you downloaded. Do not disconnect the cable before the page "
     "says so. If that does not help, write to the support with the serial number."),
    ("user: do you remember where I parked? assistant: You said level 3, row F, near the "
     "lift. user: great, and what was the name of that restaurant? assistant: You called "
     "it 'the place with the blue door'; the booking is under Okafor at half past seven. "
     "user: perfect. add to my list: candles, a card for Ana, batteries (AA), cat food. "
     "assistant: Done. You now have six things on the list; the oldest is 'light bulbs', "
     "from the second of March. user: remove the bulbs, I bought them yesterday."),
    ("The soil of the valley is heavy and holds the rain for weeks, which is why the "
     "vineyards climb the slopes while wheat and sugar beet fill the floor. Until the "
     "railway came, wine went down the river on rafts of spruce, and the rafts themselves "
     "were sold for timber at the end of the journey. Three generations later the rafts "
     "are painted on the walls of the inns. The growers now fight other battles: late "
     "frost in April, when the buds have opened too early; hail in July; a beetle from the "
     "south which no bird here has learned to eat. Some have begun to plant olive trees."),
};
